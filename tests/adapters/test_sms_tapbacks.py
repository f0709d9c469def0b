"""Reactions that are texts, both ways."""

import pytest

from adapters.sms import tapbacks
from adapters.sms.tapbacks import Tapback
from bridge.model import Answered, Reaction
from bridge.ports import Sent
from bridge.store.reactions import is_about
from tests.support.sms import ALICE, OURS, delivery, rig


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("Liked “See you at six”", Tapback("👍", "See you at six")),
        ('Loved "ok"', Tapback("❤️", "ok")),
        ("Laughed at “a “quoted” word”", Tapback("😂", "a “quoted” word")),
        ("Emphasized “two\nlines”", Tapback("‼️", "two\nlines")),
        ("Questioned “why…”", Tapback("❓", "why…")),
        ("Disliked “rain”", Tapback("👎", "rain")),
        ("A aimé « à demain »", Tapback("👍", "à demain")),
        ("N’a pas aimé « bof »", Tapback("👎", "bof")),
        ("Reacted 🎉 to “We won”", Tapback("🎉", "We won")),
        ("\u200a\u200b👍\u200b to “\u200aJust now\u200a”", Tapback("👍", "Just now")),
        ("Removed a heart from “ok”", Tapback("❤️", "ok", removed=True)),
        ("Removed 🎉 from “We won”", Tapback("🎉", "We won", removed=True)),
        ("I Liked “that”", None),
        ("Liked it", None),
        ("Loved “it” and more", None),
        ("hello to “you”", None),
        ("Liked “" + "x" * 5000 + "”", None),
        ("", None),
    ],
)
def test_a_text_is_a_reaction_or_not(body: str, found: Tapback | None) -> None:
    assert tapbacks.read(body) == found


@pytest.mark.parametrize("emoji", ["👍", "❤️", "👎", "😂", "‼️", "❓", "🎉"])
def test_what_is_written_is_read_again(emoji: str) -> None:
    for removed in (False, True):
        again = tapbacks.read(tapbacks.write(emoji, "See you at six", removed=removed))
        assert again == Tapback(emoji, "See you at six", removed=removed)
    long = tapbacks.read(tapbacks.write(emoji, "word " * 50))
    assert long is not None
    assert is_about(long.quoted, "word " * 50)


@pytest.mark.parametrize(
    ("quoted", "body", "expected"),
    [
        ("See you at six", "See you at six", True),
        ('He said "no"', "He said “no”", True),
        ("See you at…", "See you at six, then", True),
        ("See you", "See you at six", False),
        ("👍", "👍", True),
        ("👍", "👎", False),
        ("…", "anything", False),
        ("the second part of a long message", "First. The second part of a long message. Third.", True),
    ],
)
def test_what_a_reaction_is_about_is_known_by_its_words(quoted: str, body: str, expected: bool) -> None:
    assert is_about(quoted, body) is expected


async def test_a_tapback_from_a_phone_is_a_reaction_and_keeps_its_words() -> None:
    async with rig() as it:
        await it.twilio.phone(ALICE).reply("Loved “See you at six”", to=OURS)
        (incoming,) = it.inbox.accepted
        assert incoming.reaction == Reaction("❤️", "See you at six")
        assert incoming.body == "Loved “See you at six”"


async def test_a_reaction_of_the_user_goes_out_as_a_phone_would_write_it() -> None:
    async with rig() as it:
        answered = Answered("SM1", "See you at six", "", 1.0, {})
        message = {"options": {"reaction": "👍"}, "answered": answered}
        assert isinstance(await it.send(delivery("👍", message=message)), Sent)
        assert await it.twilio.phone(ALICE).shows(1) == ["Liked “See you at six”"]
