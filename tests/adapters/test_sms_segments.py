"""Length in segments, and where a long text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sms.segments import Encoding, graphemes, measure, parts

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", Encoding.GSM7, 0, 1),
        ("a" * 160, Encoding.GSM7, 160, 1),
        ("a" * 161, Encoding.GSM7, 161, 2),
        ("a" * 306, Encoding.GSM7, 306, 2),
        ("a" * 307, Encoding.GSM7, 307, 3),
        ("a" * 159 + "€", Encoding.GSM7, 161, 2),
        ("a" * 152 + "€" + "a" * 152, Encoding.GSM7, 306, 3),  # the escape is not cut from its character
        ("à Ç ñ Ω {x}", Encoding.GSM7, 13, 1),
        ("ç", Encoding.UCS2, 1, 1),  # only its capital is in the alphabet
        ("ж" * 70, Encoding.UCS2, 70, 1),
        ("ж" * 71, Encoding.UCS2, 71, 2),
        ("😀" * 35, Encoding.UCS2, 70, 1),
        ("😀" * 36, Encoding.UCS2, 72, 2),
        ("😀" * 67, Encoding.UCS2, 134, 3),  # 33 a segment: no surrogate pair is cut
    ],
)
def test_length_is_counted_as_carriers_bill_it(
    text: str, encoding: Encoding, units: int, segments: int
) -> None:
    length = measure(text)
    assert (length.encoding, length.units, length.segments) == (encoding, units, segments)


@pytest.mark.parametrize(
    "one",
    ["e\u0301", "👍🏽", FAMILY, SCOTLAND, "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3", "\r\n", "각", "नि"],
)
def test_what_a_reader_sees_as_one_character_is_never_cut(one: str) -> None:
    assert list(graphemes(f"a{one}b")) == ["a", one, "b"]
    pieces = parts("x" * 1599 + one * 900)
    assert all("x" in piece or piece == one * (len(piece) // len(one)) for piece in pieces)


def test_flags_are_cut_between_pairs() -> None:
    assert list(graphemes("🇩🇪🇫🇷🇮")) == ["🇩🇪", "🇫🇷", "🇮"]


def test_1700_characters_become_two_parts_in_order() -> None:
    text = "a" * 1700
    assert parts(text) == ["a" * 1600, "a" * 100]


def test_a_cut_falls_between_words_where_it_can() -> None:
    first, second = parts("word " * 319 + "extraordinary ending")
    assert first.endswith("word ")
    assert second == "extraordinary ending"


def test_a_short_text_is_one_part() -> None:
    assert parts("hello") == ["hello"]
    assert parts("") == [""]


def test_a_grapheme_longer_than_a_part_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 4000
    pieces = parts(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 1600


@given(
    st.lists(
        st.one_of(st.text(max_size=40), st.sampled_from([FAMILY, SCOTLAND, "🇩🇪", "e\u0301", " ", "\n"])),
        max_size=60,
    ).map("".join),
    st.integers(min_value=16, max_value=200),
)
def test_parts_join_to_the_text_and_none_is_too_long(text: str, longest: int) -> None:
    pieces = parts(text, longest)
    assert "".join(pieces) == text
    assert all(len(piece.encode("utf-16-le", "surrogatepass")) // 2 <= longest for piece in pieces)
    assert all(pieces) or pieces == [""]
