"""Bodies: what is plain text and what is HTML, what of HTML stays, and what the reader of either part sees."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.actions.markup.detection import is_html
from command_center.actions.markup.inspection import inspect
from command_center.actions.markup.prepared import PreparedBody, prepare
from command_center.mail.links import trackable_url
from tests.support.composition import ParsedPage, compose_with, read_part
from tests.support.law_settings import CASES


def html_of(body: str) -> str:
    return prepare(body).html(str)


def words_of(html: str) -> list[str]:
    """The words that a browser shows."""
    shown: list[str] = []

    class Words(ParsedPage):
        def handle_data(self, data: str) -> None:
            shown.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in ("br", "div"):
                shown.append(" ")

    Words(html)
    return "".join(shown).split()


# ---- plain text ------------------------------------------------------------------------------------------------------
MENTIONS = (
    "Please put your <title> into the form and send it back by Friday.",
    "We need an <svg> logo.",
    "About the <style> guide: it is attached.",
    "The <script> runs at night; the <iframe> does not.",
    "if a<b then stop > go",
    "Choose <select> and press OK.",
    "Write to Pat <pat@example.com> or <https://ex.example/a>.",
    "x <- y, y -> x, 1 < 2 > 0, I <3 you, </3",
    "List<String> or Map<string, List<int>> or vector<b>",
    "Insert a <br> here, and <b> there",
    "<your name> of <your company>",
    "<!-- note",
    "a <textarea> and a </textarea",
    'He said "<p>" and (<br>) twice',
    "Dear <first name>,\n\n<b> is bold",
    "<title> and </title> stand in the head",
)


@pytest.mark.parametrize("body", MENTIONS)
def test_angle_brackets_in_plain_text_lose_no_word(body: str) -> None:
    assert not is_html(body)
    assert prepare(body).text == body + "\n"
    assert words_of(html_of(body)) == body.split()


@pytest.mark.parametrize(
    "body",
    [
        "<p>Hello</p>",
        "Hello <b>you</b>",
        "Hello<br>you",
        "Hello<br />\nyou",
        "Hello\n<br>\nyou",
        '<a href="https://ex.example">x',
        "<p style='color:red'>x",
        "<!DOCTYPE html>x",
        "<html><body>x</body></html>",
        "<div>" * 3,
        "<p>One<p>Two",
        "<img src='https://ex.example/a.png'>",
        "<script>alert(1)</script>",
        "x <!--[if mso]>y<![endif]-->",
    ],
)
def test_elements_that_are_used_make_html(body: str) -> None:
    assert is_html(body)


ODD = ("<title>", "<style>", "<svg>", "<script>", "<select>", "<b>", "<name@ex.example>", "List<String>", "a<b", "</3")
WORDS = st.one_of(
    st.sampled_from(
        (*ODD, "<!--", "<", ">", "<your", "name>", "&amp;", "&", "{", "https://ex.example/a", "”", "שלום", "🎉")
    ),
    st.text(alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters="\x85"), min_size=1, max_size=12),
)
GAPS = st.sampled_from((" ", "  ", "\n", "\n\n", "\t", "\r\n"))


@settings(max_examples=CASES * 5, deadline=None)
@given(st.lists(st.tuples(WORDS, GAPS), max_size=20))
def test_every_typed_word_is_in_both_parts(pieces: list[tuple[str, str]]) -> None:
    body = "".join(word + gap for word, gap in pieces)
    if is_html(body):
        return
    prepared = prepare(body)
    assert prepared.text.split() == body.split()
    assert words_of(prepared.html(str)) == body.split()


def test_spaces_and_indentation_stay_as_they_were_typed() -> None:
    body = "Hours:\n  Mon   9-5\n\tTue\n  - two  spaces"
    assert prepare(body).text == body + "\n"
    assert "&nbsp; Mon" in html_of(body) or "&nbsp;&nbsp;Mon" in html_of(body)


@pytest.mark.parametrize(
    "text, url",
    [
        ("See “https://ex.example/a” now", "https://ex.example/a"),
        ("‘https://ex.example/q’", "https://ex.example/q"),
        ("«https://ex.example/r»", "https://ex.example/r"),
        ("„https://ex.example/r“", "https://ex.example/r"),
        ("https://ex.example/a…", "https://ex.example/a"),
        ("https://ex.example/a。次", "https://ex.example/a"),
        ("（https://ex.example/a）と", "https://ex.example/a"),
        ("「https://ex.example/a」と", "https://ex.example/a"),
        ("https://ex.example/a，b", "https://ex.example/a"),
        ("https://ex.example/a、b", "https://ex.example/a"),
        ("https://ex.example/a؟", "https://ex.example/a"),
        ("https://ex.example/a।", "https://ex.example/a"),
        ("https://ex.example/a—so", "https://ex.example/a"),
        ("https://ex.example/a\u200b", "https://ex.example/a"),
        ("https://ex.example/a\u3000b", "https://ex.example/a"),
        ("(https://ex.example/a_(b))", "https://ex.example/a_(b)"),
        ("[x](https://ex.example/a)!", "https://ex.example/a"),
        ("https://ex.example/?f[0]=1&g={x}.", "https://ex.example/?f[0]=1&g={x}"),
        ("https://[2001:db8::1]/x]", "https://[2001:db8::1]/x"),
        ("https://bücher.example/grün?q=ä#ö, ok", "https://bücher.example/grün?q=ä#ö"),
        ("https://ja.example/曖昧 と", "https://ja.example/曖昧"),
        ("https://ca.example/Paral·lel.", "https://ca.example/Paral·lel"),
        ("<https://ex.example/a>", "https://ex.example/a"),
        ("**https://ex.example/a**", "https://ex.example/a"),
    ],
)
def test_an_address_ends_where_a_reader_sees_it_end(text: str, url: str) -> None:
    assert ParsedPage(read_part(compose_with(text), "html")).targets() == [trackable_url(url)]
    assert words_of(html_of(text)) == text.split()


@pytest.mark.parametrize("text", ["https://", "https:// x", "https://)", "see http://."])
def test_a_scheme_alone_is_no_link(text: str) -> None:
    assert ParsedPage(html_of(text)).hrefs == []


def test_right_to_left_lines_have_a_direction() -> None:
    html = html_of("שלום לך\n\nHello you\n123\nمرحبا")
    assert re.findall(r'<div dir="(\w+)">', html) == ["rtl", "ltr", "rtl"]
    assert "dir" not in html_of("Hello – grüße 你好")
    assert 'dir="rtl"' in html_of('<p dir="rtl">שלום</p>')
    assert 'dir="rtl"' in html_of('<html dir="rtl"><body><p>שלום</p></body></html>')


# ---- HTML ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "href, target",
    [
        ("google.example", "https://google.example"),
        ("www.ex.example/p?x=1", "https://www.ex.example/p?x=1"),
        ("ex.example:8080/p", "https://ex.example:8080/p"),
        ("//ex.example/p", "https://ex.example/p"),
        ("  https://ex.example/p\n", "https://ex.example/p"),
        ("https://ex.example/\n   path", "https://ex.example/path"),
        ("https://ex.\texample/p", "https://ex.example/p"),
        ("https:ex.example/p", "https://ex.example/p"),
        ("https:\\\\ex.example/p", "https://ex.example/p"),
        ("HTTPS://ex.example/p", "https://ex.example/p"),
        ("https://ex.example/a&#x2f;b&copy=1", "https://ex.example/a/b&copy=1"),
        ("pat@ex.example", "mailto:pat@ex.example"),
        ("sms:+491701234567?body=Hi", "sms:+491701234567?body=Hi"),
        ("#sec", "#sec"),
    ],
)
def test_a_target_is_read_as_a_browser_reads_it(href: str, target: str) -> None:
    made = compose_with(f'<p><a href="{href}">here</a></p>')
    assert ParsedPage(read_part(made, "html")).targets() == [target]
    assert (target.partition("://")[2] or target) in read_part(made, "plain") or target == "#sec"
    assert inspect(f'<p><a href="{href}">here</a></p>').notices == ()


@pytest.mark.parametrize(
    "body, notice",
    [
        ("<p>x</p><script>a()</script>", "Scripts"),
        ("<p onclick='a()'>x</p>", "onclick"),
        ("<form action='/x'><input></form><p>x</p>", "<form>, <input>"),
        ("<p>x</p><iframe src='https://ex.example'></iframe>", "<iframe>"),
        ("<p>x</p><foo>y</foo>", "<foo>"),
        ("<p style='position:fixed;color:red'>x</p>", "position"),
        ("<p style='width:expression(alert(1))'>x</p>", "width"),
        ("<p><a href='javascript:a()'>x</a></p>", "javascript:a()"),
        ("<p><a href='java&#10;script:a()'>x</a></p>", "javascript:a()"),
        ("<p><img src='data:image/png;base64,AA'>x</p>", "data:image/png"),
        ("<p><a href='/p'>x</a></p>", "/p"),
        ("<p><a href='page.html'>x</a></p>", "page.html"),
        ("<p data-x='1'>x</p>", "data-x"),
        ("<style>@import 'https://ex.example/a.css'; p{color:red}</style><p>x</p>", "@import"),
        ("<p>x</p><link rel=stylesheet href='https://ex.example/a.css'>", "<link>"),
        ("<p>x</p><svg><path/></svg>", "<svg>"),
        ("<p>x</p><!--[if mso]>y<![endif]-->", "Outlook"),
        ("<p><a href='https://ex.example/" + "x" * 2000 + "'>x</a></p>", "cannot be counted"),
    ],
)
def test_removed_markup_is_reported(body: str, notice: str) -> None:
    (told,) = inspect(body).notices
    assert notice in told
    assert inspect(body).errors == ()


def test_kept_markup_is_not_reported() -> None:
    body = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head><body style="color:#222" bgcolor="#fff">'
        '<!-- note --><p class="a" id="b">x</p><ul><li>y</ul><a href="https://ex.example">z</a></body></html>'
    )
    assert inspect(body) == inspect("plain")


def test_words_in_angle_brackets_stay_in_html_too() -> None:
    text = prepare("<p>Ask <name@ex.example> for the <title> if a<b then c > d, List<String></p>").text
    assert text == "Ask <name@ex.example> for the <title> if a<b then c > d, List<String>\n"


SHEET = """
<!-- @charset "utf-8";
@import url(https://evil.example/a.css);
@font-face{font-family:x;src:url(https://evil.example/f)}
.a, td > .b:hover, .sm\\:w{color:red;behavior:url(x.htc);width:expression(evil());background:url("https://ex.example/b.png")}
@media only screen and (max-width:600px){.c{width:100%!important;position:fixed}}
@media print{@import "x";.d{display:none}}
.e{background:url(javascript:evil())} .f{content:"<script>evil()</script>"}
.g{color:r\\65 d} /* } evil { */ .h{margin:0} -->
"""


def test_a_style_sheet_stays_without_what_acts() -> None:
    body = f'<style type="text/css">{SHEET}</style><p class="a">x</p>'
    page = read_part(compose_with(body), "html")
    assert page.count("<style>") == 1
    assert page.index("<style>") < page.index("<body>")
    sheet = page[page.index("<style>") : page.index("</style>")]
    assert "@media only screen and (max-width:600px){\n.c{width:100%!important}\n}" in sheet
    assert "@media print{\n.d{display:none}\n}" in sheet
    assert '.a, td > .b:hover, .sm\\:w{color:red;background:url("https://ex.example/b.png")}' in sheet
    assert ".h{margin:0}" in sheet
    assert not [each for each in ("evil", "@import", "font-face", "behavior", "position", "\\65") if each in sheet]


@pytest.mark.parametrize(
    "body, text",
    [
        ("<b><p>bold</b> rest</p><i>it", "bold\n\nrest\n\nit\n"),
        ("<ul><li>item</li>more</ul>", "- item\nmore\n"),
        ("<ol><li><p>one</p></li><li><div>two</div></li></ol>", "1. one\n\n2. two\n"),
        ("<p>a</br>b</p>", "a\nb\n"),
        ("<div>x<fieldset><legend>Title</legend>words</fieldset>after</div>", "x\nTitle\nwords\nafter\n"),
        ("<p>x</p><details><summary>More</summary>words</details>", "x\n\nMore\nwords\n"),
        ("<p>a</p><blockquote>b<blockquote>c</blockquote></blockquote>d", "a\n\n> b\n>\n> > c\n>\nd\n"),
        ("<ol start=3><li>a<li>b<ul><li>c</ul></ol>", "3. a\n4. b\n  - c\n"),
        ("<div>a</div><div>b</div>", "a\nb\n"),
        ("<p>x<img src='https://ex.example/l.png' alt='Logo'></p>", "xLogo\n"),
        ('<a href="https://ex.example/a b (1).png">x</a>', "x (https://ex.example/a%20b%20(1).png)\n"),
        ('<a href="https://ex.example/x"><img src="https://ex.example/l.png"></a>', "(https://ex.example/x)\n"),
        ("<b>a </b> <i> b</i>", "a b\n"),
    ],
)
def test_the_text_part_is_readable(body: str, text: str) -> None:
    assert prepare(body).text == text


# ---- limits and time -------------------------------------------------------------------------------------------------
def test_nesting_and_tags_are_limited() -> None:
    assert inspect("<div>" * 100 + "x").errors == ()
    assert inspect("<div>" * 101 + "x").errors == ("The elements of a body may be nested at most 100 deep.",)
    assert inspect("<p>x</p>" * 10_000).errors == ()
    assert inspect("<p>x</p>" * 10_000 + "<br>").errors == ("A body may have at most 20,000 tags, not 20,001.",)
    assert inspect("<p>x<li>y<td>z" * 200).errors == ()


def test_a_stored_body_over_the_limits_is_sent_as_text() -> None:
    prepared = prepare("<div>" * 30_000 + "x")
    assert prepared.text == "x\n"
    assert prepared.html(str).count("<div") == 100


def size(prepared: PreparedBody) -> int:
    return sum(map(len, prepared.pieces)) + len(prepared.text) + len(prepared.sheet)


def test_formatting_that_is_never_closed_does_not_multiply() -> None:
    body = "".join(f'<b title="{"x" * 4000}{number}">' for number in range(50)) + "</p><p>y" * 9_000
    assert size(prepare(f"<p>{body}")) < 3 * len(body)
