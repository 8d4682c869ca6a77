"""Dynamic fields: what is one, what it says for whom, and what is none."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.actions import template_fields
from command_center.actions.email_rows import DueEmail
from command_center.actions.template_fields import UnresolvedField, field_errors, resolve
from command_center.mail.texts import FilledText, fill_text
from tests.support.law_settings import CASES

DORA = template_fields.person_values("Dora Dean", "CTO", "Dean & Sons", "Sam Seller")
NOBODY = template_fields.person_values("", None, None, "Sam Seller")


def test_an_entered_first_name_wins_over_the_derived_one() -> None:
    known = template_fields.person_values("Anna Maria Schmidt, M.Sc.", None, None, "Sam", "Anna Maria")
    assert (known["first_name"], known["last_name"]) == ("Anna Maria", "Schmidt")
    known = template_fields.person_values("J. R. Smith", None, None, "Sam", "Joan")
    assert (known["first_name"], known["last_name"]) == ("Joan", "Smith")
    known = template_fields.person_values("J. R. Smith", None, None, "Sam")
    assert (known["first_name"], known["last_name"]) == ("J. R. Smith", "Smith")


def test_every_field_says_what_is_known() -> None:
    text = "{{first_name}}|{{last_name}}|{{title}}|{{company}}|{{my_name}}"
    assert resolve(text, DORA, False) == "Dora|Dean|CTO|Dean & Sons|Sam Seller"
    assert resolve(text, DORA, True) == "Dora|Dean|CTO|Dean &amp; Sons|Sam Seller"
    assert resolve(text, NOBODY, False) == "|||your company|Sam Seller"


@pytest.mark.parametrize(
    "written",
    [
        '{{title|default:"you"}}',
        "{{ title | default: 'you' }}",
        "{{\n title\t|default :\xa0“you” }}",
        "{{&nbsp;title&nbsp;|&#160;default:&nbsp;&quot;you&quot;&nbsp;}}",
        "{{title | default: „you“}}",
        "{{title | default: «you»}}",
        "{{title | default: ‘you’}}",
        "{{title | default: &#39;you&#39;}}",
        "{{title | default: &ldquo;you&rdquo;}}",
        "{{\u200btitle | default: \ufeff”you”}}",
    ],
)
def test_a_default_is_used_for_every_form_of_an_empty_value(written: str) -> None:
    assert resolve(f"Hi {written}!", NOBODY, True) == "Hi you!"
    assert resolve(f"Hi {written}!", DORA, True) == "Hi CTO!"


def test_a_default_replaces_an_absent_company_even_if_empty() -> None:
    assert resolve('{{company | default: "you"}} {{company | default: ""}}.', NOBODY, False) == "you ."
    # It is the author's own text: HTML where that is written, and on one line.
    assert resolve('{{company | default: "R&amp;D\n at <i>yours</i>"}}', NOBODY, True) == "R&amp;D at <i>yours</i>"
    assert resolve("""{{company | default: "it's"}}""", NOBODY, False) == "it's"


@pytest.mark.parametrize(
    "text, said",
    [
        ("{{nickname}}", "{{nickname}} is no field: there are first_name, last_name, title, company and my_name."),
        ("{{First_Name}}", "{{First_Name}} is no field"),
        ('{{firstname | default: "x"}}', "is no field"),
        ("{{}}", "{{}} is not how a field is written: {{company}}, or {{company | default:"),
        ("{{first name}}", "is not how a field is written"),
        ("{{{company}}}", "is not how a field is written"),
        ("{{company | default: there}}", "is not how a field is written"),
        ("{{company | default: \"there'}}", "is not how a field is written"),
        ("{{company | upper}}", "is not how a field is written"),
        ("{{<b>company</b>}}", "is not how a field is written"),
        ("{{company} and {{title}}", "{{company} and {{title}} is not how a field is written"),
        ("Hi {{company}", "{{company} has no closing braces."),
        ("{{" + "x" * 5000, "… has no closing braces."),
    ],
)
def test_unknown_fields_are_named(text: str, said: str) -> None:
    with pytest.raises(UnresolvedField, match=r"braces|field") as refusal:
        resolve(text, DORA, False)
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_every_error_is_reported_once() -> None:
    assert len(field_errors("{{a}} {{company}} {{b}} {{a}} {{")) == 3
    assert field_errors("no } field }} here { at all {x}") == []


def test_values_are_one_line_and_not_expanded_again() -> None:
    odd = template_fields.person_values("Dora O'Neil", "a\u2028b  c", '<b>"x"</b>', "Sam", "{{my_name}}\n\x1b{{x}}")
    assert resolve("{{first_name}} {{last_name}} {{title}}", odd, False) == "{{my_name}} {{x}} O'Neil a b  c"
    assert resolve("{{company}}", odd, True) == "&lt;b&gt;&quot;x&quot;&lt;/b&gt;"


# ---- whole emails ----------------------------------------------------------------------------------------------------
def email(subject: str, body: str, **more: str | None) -> DueEmail:
    known = {
        "to_name": "Dora Dean",
        "title": None,
        "company": None,
        "from_name": "Sam",
        "message_id": None,
        "first_name": None,
        "shared_body": False,
    }
    return cast(DueEmail, {"subject": subject, "body": body, **known, **more})


def test_an_email_without_fields_or_tried_before_stays_as_it_is() -> None:
    assert fill_text(email("Hi", "<p>{ no } field }}</p>")) is None
    assert fill_text(email("Hi {{first_name}}", "", message_id="<1@x>")) is None
    assert fill_text(email("Hi", "{{first_name}}")) == FilledText("Hi", "Dora")
    assert fill_text(email("Hi {{first_name}}", "", first_name="Doro")) == FilledText("Hi Doro", "")
    assert fill_text(email(" {{title}} Hi {{title}}", "")) == FilledText("Hi", "")


def test_values_are_escaped_in_html_alone() -> None:
    text = fill_text(email("{{company}}", "<p>{{company}}</p>", company="A & <b>"))
    assert text == FilledText("A & <b>", "<p>A &amp; &lt;b&gt;</p>")
    assert fill_text(email("S", "{{company}}\nwrites", company="A & B")) == FilledText("S", "A & B\nwrites")
    # Plain text that would become HTML by a value is told as HTML in which it is text.
    assert fill_text(email("S", "{{company}}\nwrites", company="<b>")) == FilledText("S", "<b>\nwrites")
    text = fill_text(email("S", "{{company}}\nwrites", company="<b>x</b>"))
    assert text == FilledText("S", "<div>&lt;b&gt;x&lt;/b&gt;<br>\nwrites</div>")


@pytest.mark.parametrize(
    "subject, body, said",
    [
        ("{{title}}", "", "Nothing is left of the subject"),
        ("{{company}}" * 90, "", "The subject has 18000 characters once its fields are filled in; at most 998."),
        ("S", "<p>" + "{{company}}" * 10_000, "The body has 2000003 characters"),
        ("{{a}}", "{{b}}", "{{a}} is no field"),
        ("{{a}}", "{{b}}", "{{b}} is no field"),
    ],
)
def test_an_email_that_cannot_be_filled_in_says_why(subject: str, body: str, said: str) -> None:
    with pytest.raises(UnresolvedField) as refusal:
        fill_text(email(subject, body, company="x" * 200))
    assert said in str(refusal.value)


# ---- generated: the same meaning as that of a reader who goes by hand ------------------------------------------------
TOKENS = (
    "{{",
    "}}",
    "{",
    "}",
    "first_name",
    "company",
    "title",
    "nobody",
    "|",
    "default",
    ":",
    '"',
    "'",
    " ",
    "\n",
    "<b>",
)
FIELDS = st.sampled_from(
    ("{{first_name}}", "{{ company }}", '{{title | default: "you"}}', "{{company|default:'a \"b\"'}}", "{{my_name\n}}")
)
TEXTS = st.lists(st.one_of(st.sampled_from(TOKENS), FIELDS), max_size=14).map("".join)
KNOWN = st.sampled_from((DORA, NOBODY, template_fields.person_values("{{title}}", "}}", "{{", "'")))


class Bad(Exception):
    """Not a field."""


def by_hand(text: str, known: dict[str, str]) -> str:
    said: list[str] = []
    while "{{" in text:
        before, _, after = text.partition("{{")
        if "}}" not in after:
            raise Bad
        inside, _, text = after.partition("}}")
        said += [before, one_by_hand(inside, known)]
    return "".join([*said, text])


def one_by_hand(inside: str, known: dict[str, str]) -> str:
    name, bar, more = inside.partition("|")
    if name.strip() not in known:
        raise Bad
    default = "your company" if name.strip() == "company" else ""
    if bar:
        word, colon, quoted = more.partition(":")
        quoted = quoted.strip()
        if word.strip() != "default" or not colon or len(quoted) < 2 or quoted[0] not in "'\"":
            raise Bad
        if quoted[-1] != quoted[0] or quoted[0] in quoted[1:-1]:
            raise Bad
        default = quoted[1:-1].replace("\n", " ")
        while "  " in default:
            default = default.replace("  ", " ")
    return known[name.strip()] or default


@settings(max_examples=CASES * 5, deadline=None)
@given(TEXTS, KNOWN)
def test_any_text_means_what_it_means_by_hand(text: str, known: dict[str, str]) -> None:
    try:
        expected = by_hand(text, known)
    except Bad:
        assert field_errors(text)
        with pytest.raises(UnresolvedField):
            resolve(text, known, False)
    else:
        assert field_errors(text) == []
        assert resolve(text, known, False) == expected


@settings(max_examples=CASES, deadline=None)
@given(st.text(), st.text(), st.text(), KNOWN)
def test_nothing_but_fields_is_touched(before: str, between: str, after: str, known: dict[str, str]) -> None:
    text = "".join(part.replace("{", "(") + field for part, field in ((before, "{{title}}"), (between, "{{company}}")))
    expected = before.replace("{", "(") + known["title"] + between.replace("{", "(")
    assert resolve(text + after.replace("{", "("), known, False) == expected + (
        known["company"] or "your company"
    ) + after.replace("{", "(")
