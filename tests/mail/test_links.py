"""Tracking tokens: what we signed opens, anything else does not, and nothing leads anywhere but to a signed target."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.mail.links import MAX_TARGET_CHARACTERS, Links, trackable_url

CALM = settings(deadline=None)

LINKS = Links("a secret of some length", "https://mail.example.com/")
KEYS = st.integers(min_value=1, max_value=2**63 - 1)
TARGETS = st.from_regex(r"https?://[a-z]{1,12}\.example(/[!-~]{0,40})?", fullmatch=True).map(trackable_url).filter(bool)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def token(url: str) -> str:
    return url.rpartition("/")[2].removesuffix(".gif")


@CALM
@given(KEYS)
def test_a_pixel_names_its_email(key: int) -> None:
    url = LINKS.pixel(key)
    assert url.startswith("https://mail.example.com/t/o/")
    assert url.endswith(".gif")
    assert LINKS.open_pixel(token(url)) == key


@CALM
@given(KEYS, TARGETS)
def test_a_click_names_its_email_and_its_target(key: int, target: str) -> None:
    assert LINKS.open_click(token(LINKS.click(key, target))) == (key, target)


def test_changing_any_character_makes_a_token_worthless() -> None:
    pixel, click = token(LINKS.pixel(7)), token(LINKS.click(7, "https://a.example/x?y=1#z"))
    for place in range(len(click)):
        for other in ALPHABET:
            if place < len(pixel) and other != pixel[place]:
                assert LINKS.open_pixel(pixel[:place] + other + pixel[place + 1 :]) is None
            if other != click[place]:
                assert LINKS.open_click(click[:place] + other + click[place + 1 :]) is None


@CALM
@given(KEYS, TARGETS, st.data())
def test_no_cut_or_lengthened_token_opens(key: int, target: str, data: st.DataObject) -> None:
    click = token(LINKS.click(key, target))
    cut = data.draw(st.integers(min_value=0, max_value=len(click) - 1))
    assert LINKS.open_click(click[:cut]) is None
    assert LINKS.open_click(click + data.draw(st.text(min_size=1, max_size=4))) is None


@CALM
@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_nothing_made_up_opens(text: str) -> None:
    assert LINKS.open_pixel(text) is None
    assert LINKS.open_click(text) is None


def test_a_token_is_valid_for_one_purpose_and_one_secret() -> None:
    click = token(LINKS.click(7, "https://a.example/"))
    pixel = token(LINKS.pixel(7))
    assert LINKS.open_pixel(click) is None
    assert LINKS.open_click(pixel) is None
    other = Links("another secret", "https://mail.example.com")
    assert other.open_click(click) is None
    assert other.open_pixel(pixel) is None


@pytest.mark.parametrize(
    "target, tracked",
    [
        ("https://a.example", "https://a.example"),
        (" http://a.example/x?y=1&z=2#part ", "http://a.example/x?y=1&z=2#part"),
        ("https://a.example/p%20q", "https://a.example/p%20q"),
        ("https://a.example/p q", "https://a.example/p%20q"),
        ("https://a.example/über?q=ß", "https://a.example/%C3%BCber?q=%C3%9F"),
        ("https://münchen.example:8080/x", "https://xn--mnchen-3ya.example:8080/x"),
        ("HTTPS://A.example/X", "https://A.example/X"),
        ("https://a.example/" + "x" * MAX_TARGET_CHARACTERS, None),
        ("mailto:jo@example.com", None),
        ("tel:+4912345", None),
        ("cid:logo", None),
        ("#chapter", None),
        ("/relative", None),
        ("//a.example/x", None),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("https://a.example/x\r\nSet-Cookie: y", None),
        ("https://[broken/", None),
        ("https://a.example:port/", None),
        ("", None),
    ],
)
def test_only_web_links_are_tracked(target: str, tracked: str | None) -> None:
    assert trackable_url(target) == tracked


@CALM
@given(st.text(max_size=60).map(lambda text: "https://a.example/" + text))
def test_trackable_urls_fit_into_a_header_unchanged(target: str) -> None:
    sound = trackable_url(target)
    if sound is not None:
        assert sound.isascii()
        assert sound.isprintable()
        assert " " not in sound
        assert trackable_url(sound) == sound
        assert LINKS.open_click(token(LINKS.click(1, sound))) == (1, sound)


def test_message_ids_get_a_domain_whatever_the_base_address() -> None:
    assert LINKS.domain == "mail.example.com"
    assert Links("s", "http://127.0.0.1:8000").domain == "127.0.0.1"
    assert Links("s", "http://[::1]:8000").domain == "localhost"
