"""Words are shortened so that JSON fits, and only between what a reader takes for characters."""

from __future__ import annotations

import json

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from notifier.providers.shared.fitting import PayloadTooLarge, clip, dump, fitted, shorten

FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇨🇳"
ACCENT = "e\u0301"

PIECES = st.one_of(st.sampled_from([FAMILY, FLAG, ACCENT, '"', "\\", "\n", "你", "\u200d"]), st.text(max_size=3))
TEXTS = st.lists(PIECES, max_size=60).map("".join)


def in_json(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, ACCENT, "你"])
def test_a_character_of_several_code_points_is_kept_or_left_out(cluster: str) -> None:
    """Families, flags and accents are never cut: for every size the beginning is whole ones."""
    text = cluster * 10
    size = in_json(cluster)
    for bytes_max in range(3, 10 * size):
        short = shorten(text, bytes_max)
        assert short == cluster * ((bytes_max - 3) // size) + "…"


@given(text=TEXTS, bytes_max=st.integers(0, 300))
def test_it_fits_and_is_a_beginning_on_a_boundary(text: str, bytes_max: int) -> None:
    """Never longer than allowed, as JSON counts; what fits is left alone; what does not ends after a whole cluster."""
    short = shorten(text, bytes_max)
    assert in_json(short) <= bytes_max
    if in_json(text) <= bytes_max:
        assert short == text
    elif short:
        assert short.endswith("…")
        begins = [""] + [text[: found.end()] for found in regex.finditer(r"\X", text)]
        assert short[:-1] in {begin.rstrip() for begin in begins}


@given(title=TEXTS, content=TEXTS, bytes_max=st.integers(40, 400))
def test_the_body_never_exceeds_its_limit(title: str, content: str, bytes_max: int) -> None:
    """Title and content together, escaped as they must be; the content goes first."""
    body = fitted(lambda t, c: {"title": t, "content": c}, title, content, bytes_max)
    assert len(body) <= bytes_max
    fields = json.loads(body)
    if fields["title"] != title.encode("utf-8", "replace").decode():
        assert fields["content"] == ""


def test_the_content_uses_the_room_that_there_is() -> None:
    """No byte more is lost than the last character would have taken."""
    body = fitted(lambda t, c: {"title": t, "content": c}, "Bob", "你" * 5_000, 4_096)
    assert 4_096 - 3 < len(body) <= 4_096
    assert json.loads(body)["title"] == "Bob"


def test_what_cannot_fit_is_said() -> None:
    """Data that is too large by itself is no push, and no endless loop."""
    with pytest.raises(PayloadTooLarge):
        fitted(lambda t, c: {"title": t, "content": c, "data": "x" * 100}, "Bob", "hello", 100)


def test_half_a_pair_is_no_failure() -> None:
    """A lone surrogate, which no encoding has, becomes a question mark."""
    assert dump("a\ud83d") == b'"a?"'


@given(text=TEXTS, chars_max=st.integers(1, 300))
def test_where_characters_are_counted_it_is_cut_between_them_as_well(text: str, chars_max: int) -> None:
    """In UTF-16 units, as Java counts; never inside what a reader takes for one character."""
    short = clip(text, chars_max)
    assert len(short.encode("utf-16-le", "surrogatepass")) // 2 <= chars_max
    if short != text:
        assert short.endswith("…")
        begins = [""] + [text[: found.end()] for found in regex.finditer(r"\X", text)]
        assert short[:-1] in {begin.rstrip() for begin in begins}


def test_an_emoji_counts_as_many_as_it_takes() -> None:
    """Two units for a face, eleven for a family of four: it is there as a whole, or not at all."""
    assert clip("abc😀", 5) == "abc😀"
    assert clip("abc😀", 4) == "abc…"
    assert clip("a👨‍👩‍👧‍👦b", 13) == "a👨‍👩‍👧‍👦b"
    assert clip("a👨‍👩‍👧‍👦b", 12) == "a…"
