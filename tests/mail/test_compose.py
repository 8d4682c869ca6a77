"""The message that leaves: its headers, its two alternatives, its links and its one pixel."""

import email
import re
from datetime import UTC, datetime
from email import policy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.mail.compose import Unsendable, compose_copies
from command_center.mail.transport import Envelope
from tests.support.composition import (
    CLICK,
    LINKS,
    ParsedPage,
    compose_with,
    make_outgoing_email,
    parse_message,
    read_part,
)

CALM = settings(deadline=None)

PIXEL = "https://mail.example.com/t/o/"


def copies_of(**changes: Any) -> list[Envelope]:
    return compose_copies(make_outgoing_email(**changes), LINKS)


def test_headers_contain_sender_subject_and_date() -> None:
    message = parse_message(compose_with(cc=("carl@people.example",), bcc=("bea@people.example",)))
    assert message["From"] == "Sam Seller <sam@sellers.example>"
    assert message["To"] == "Pat Person <pat@people.example>"
    assert message["Cc"] == "carl@people.example"
    assert message["Bcc"] is None
    assert message["Subject"] == "Hello there"
    assert message["Date"].datetime == datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    assert message["Message-ID"] == "<RW1haWw6Nw.abc@mail.example.com>"


def test_a_copy_is_a_message_of_its_own_without_the_way_out() -> None:
    letter: dict[str, Any] = {"cc": ("carl@people.example",), "bcc": ("bea@people.example",)}
    made, copied = compose_with(**letter), copies_of(**letter)
    assert made.recipient == "pat@people.example"
    assert [each.recipient for each in copied] == ["carl@people.example", "bea@people.example"]
    (content,) = {each.content for each in copied}
    assert b"bea@" not in made.content + content
    original, copy = parse_message(made), email.message_from_bytes(content, policy=policy.default)
    assert set(original.keys()) - set(copy.keys()) == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    for name in set(copy.keys()) - {"Content-Type"}:
        assert copy[name] == original[name]
    for kind in ("plain", "html"):
        body = copy.get_body((kind,))
        assert body is not None
        assert "/t/u/" not in body.get_content()
        assert "Unsubscribe" not in body.get_content()
    # Opens and clicks of a copy count for the person in To.
    assert b"/t/o/" in content


def test_everyone_gets_the_message_once() -> None:
    letter: dict[str, Any] = {
        "cc": ("PAT@people.example", "carl@people.example", "info@bücher.example"),
        "bcc": ("Carl@people.example", "info@xn--bcher-kva.example", "carl@\uff50eople.example"),
    }
    assert [each.recipient for each in copies_of(**letter)] == ["carl@people.example", "info@xn--bcher-kva.example"]
    assert parse_message(compose_with(**letter))["Cc"] == "carl@people.example, info@xn--bcher-kva.example"
    assert copies_of() == []


def test_a_non_ascii_bcc_requires_nothing_of_other_recipients() -> None:
    letter: dict[str, Any] = {"cc": ("carl@people.example",), "bcc": ("zoë@people.example",)}
    assert not compose_with(**letter).utf8
    assert [each.utf8 for each in copies_of(**letter)] == [False, True]
    assert [each.utf8 for each in copies_of(cc=("zoë@people.example", "carl@people.example"))] == [True, True]


def test_letters_outside_ascii_in_names_and_subjects() -> None:
    made = compose_with(to_name="Zoë Ångström", subject="Grüße – 你好 🎉", from_name='Doe, "J" (Sales)')
    message = parse_message(made)
    assert made.content.split(b"\r\n\r\n")[0].isascii()
    assert message["To"].addresses[0].display_name == "Zoë Ångström"
    assert message["Subject"] == "Grüße – 你好 🎉"
    assert message["From"].addresses[0].display_name == 'Doe, "J" (Sales)'


# Signs that mean something in a header, among letters that make it long enough to be folded.
TRICKY = st.text(alphabet=',"<>@;:\\()=?é ab_.', min_size=1, max_size=150)


@CALM
@given(TRICKY | st.text(min_size=1, max_size=200), TRICKY | st.text(min_size=1, max_size=400))
def test_no_name_or_subject_can_add_a_header_or_a_recipient(name: str, subject: str) -> None:
    made = compose_with(to_name=name, from_name=name, subject=subject)
    message = email.message_from_bytes(made.content, policy=policy.default)
    ours = ["List-Unsubscribe", "List-Unsubscribe-Post", "Message-ID", "MIME-Version", "Content-Type"]
    assert sorted(message.keys()) == sorted(["From", "To", "Subject", "Date", *ours])
    assert [each.addr_spec for each in message["To"].addresses] == ["pat@people.example"]
    assert [each.addr_spec for each in message["From"].addresses] == ["sam@sellers.example"]
    lines = made.content.split(b"\r\n")
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in lines)


@pytest.mark.parametrize(
    "breaker", ["\r\nBcc: x@y.example", "\nBcc: x@y.example", "\r\n\r\nBody", "\u2028X: y", "\x00"]
)
def test_line_breaks_do_not_reach_the_headers(breaker: str) -> None:
    message = parse_message(compose_with(subject="A" + breaker, to_name="B" + breaker, from_name="C" + breaker))
    assert message["Bcc"] is None
    assert message["X"] is None
    assert [each.addr_spec for each in message["To"].addresses] == ["pat@people.example"]


def test_a_domain_outside_ascii_is_spelt_in_ascii() -> None:
    made = compose_with(to_address="pat@bücher.example")
    assert made.recipient == "pat@xn--bcher-kva.example"
    assert not made.utf8


def test_a_mailbox_outside_ascii_asks_for_smtputf8() -> None:
    made = compose_with(to_address="zoë@people.example")
    assert made.utf8
    assert "zoë@people.example".encode() in made.content


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "pat",
        "@x.example",
        "pat@",
        "a b@x.example",
        "pat@x.example>\r\nDATA",
        "<p@x.y>",
        "=?utf-8?q?x=0D=0AReply-To=3Ay?=@x.y",
    ],
)
def test_invalid_addresses_are_refused_with_a_message(wrong: str) -> None:
    with pytest.raises(Unsendable, match="no address"):
        compose_with(to_address=wrong)
    with pytest.raises(Unsendable):
        compose_with(bcc=(wrong,))


def test_links_lead_through_us_and_others_stay() -> None:
    body = (
        '<p>See <a href="https://a.example/x?y=1&amp;z=2">this</a>, <a href="http://b.example">that</a>,'
        ' <a href="mailto:jo@b.example">write</a>, <a href="tel:+491">call</a>, <a href="#top">up</a>'
        ' <img src="cid:logo" alt="Logo"></p>'
    )
    page = ParsedPage(read_part(compose_with(body), "html"))
    assert [href.startswith(CLICK) for href in page.hrefs] == [True, True, False, False, False]
    assert page.targets() == [
        "https://a.example/x?y=1&z=2",
        "http://b.example",
        "mailto:jo@b.example",
        "tel:+491",
        "#top",
    ]


def test_there_is_one_pixel_and_it_comes_last() -> None:
    page = read_part(compose_with("<p>Hello</p><img src='https://a.example/logo.png'>"), "html")
    seen = ParsedPage(page)
    assert seen.sources[0] == "https://a.example/logo.png"
    assert len(seen.sources) == 2
    assert LINKS.open_pixel(seen.sources[1].removeprefix(PIXEL).removesuffix(".gif")) == 7
    assert re.search(r'<img src="https://mail\.example\.com/t/o/[^"]+"[^>]*>\s*</body></html>\s*$', page)


@CALM
@given(
    st.lists(st.sampled_from(["https://a.example/{}", "http://b.example/?q={}", "mailto:x{}@y.example"]), max_size=30)
)
def test_no_link_is_lost(forms: list[str]) -> None:
    targets = [form.format(place) for place, form in enumerate(forms)]
    body = "<div>" + " and ".join(f'<a href="{target}">here</a>' for target in targets) + "</div>"
    page = ParsedPage(read_part(compose_with(body), "html"))
    assert page.targets() == targets
    assert len(page.sources) == 1


@pytest.mark.parametrize(
    "harm",
    [
        "<script>alert(1)</script>",
        "<p onclick='alert(1)'>x</p>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<iframe src='https://evil.example'></iframe>",
        "<form action='https://evil.example'><input name='alert'></form>",
        "<img src=x onerror=alert(1)>",
        "<style>@import 'https://evil.example'</style><p>x</p>",
        "<p style='position:fixed;background:url(javascript:alert(1))'>x</p>",
        "<svg><script>alert(1)</script></svg><p>x</p>",
        "<meta http-equiv='refresh' content='0;url=https://evil.example'><p>x</p>",
        "<base href='https://evil.example'><p>x</p>",
        "<object data='https://evil.example'></object><p>x</p>",
    ],
)
def test_nothing_that_acts_gets_through(harm: str) -> None:
    page = read_part(compose_with(harm), "html")
    assert "alert" not in page
    assert "evil" not in page
    assert set(ParsedPage(page).tags) <= {"html", "head", "meta", "body", "div", "p", "a", "img"}


def test_a_whole_document_becomes_the_part_inside_its_body() -> None:
    body = "<html><head><title>No</title><style>p{}</style></head><body><p>Yes</p></body></html>"
    page = read_part(compose_with(body), "html")
    assert "<p>Yes</p>" in page
    assert "No" not in page
    assert page.count("<body>") == 1


def test_plain_text_is_escaped_keeps_lines_and_has_tracked_links() -> None:
    body = "Hi <jo@b.example>, 1 < 2 & 3\nlook at https://a.example/x_(y)?z=1&w=2.\r\n(or http://b.example), bye"
    made = compose_with(body)
    page = read_part(made, "html")
    assert "Hi &lt;jo@b.example&gt;, 1 &lt; 2 &amp; 3<br>" in page
    assert ParsedPage(page).targets() == ["https://a.example/x_(y)?z=1&w=2", "http://b.example"]
    assert ">https://a.example/x_(y)?z=1&amp;w=2</a>.<br>" in page
    assert read_part(made, "plain") == body.replace("\r\n", "\n") + "\n"


@pytest.mark.parametrize(
    "body, text",
    [
        ("<p>One</p><p>Two<br>three</p>", "One\n\nTwo\nthree\n"),
        ("<p>a  b\n c</p>", "a b c\n"),
        ('<a href="https://a.example/x">Offer</a>', "Offer (https://a.example/x)\n"),
        ('<a href="https://a.example/">a.example</a>', "a.example\n"),
        ('<a href="mailto:jo@b.example">jo@b.example</a>', "jo@b.example\n"),
        ("<ul><li>x</li><li>y</li></ul>", "- x\n- y\n"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n\n3\n"),
        ("<pre>a\n  b</pre>", "a\n  b\n"),
        ("Fish &amp; chips &lt;now&gt;<br>&nbsp;", "Fish & chips <now>\n"),
        ("", "\n"),
    ],
)
def test_the_plain_alternative_reads_like_the_page(body: str, text: str) -> None:
    assert read_part(compose_with(body), "plain") == text


@CALM
@given(st.text(max_size=2000))
def test_any_body_makes_a_sound_message(body: str) -> None:
    made = compose_with(body)
    message = parse_message(made)
    assert message.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in message.iter_parts()] == ["text/plain", "text/html"]
    assert made.content.isascii()
    assert all(len(line) <= 998 for line in made.content.split(b"\r\n"))
    assert read_part(made, "html").count(PIXEL) == 1


@CALM
@given(
    st.text(alphabet=st.characters(exclude_characters="<>&\r\n\f\t \xa0", exclude_categories=["C", "Z"]), max_size=300)
)
def test_plain_words_are_in_both_parts(body: str) -> None:
    assert read_part(compose_with(body), "plain").strip("\n") == body.strip()


def test_a_long_body_without_line_breaks_is_broken_for_the_wire() -> None:
    made = compose_with("x" * 100_000)
    assert max(len(line) for line in made.content.split(b"\r\n")) <= 998
    assert "x" * 100_000 in read_part(made, "html")
