"""What comes too fast, and chats that are not to be heard for a while: told in a line, kept, shown in order.
On SQLite and PostgreSQL; the clock is in the test's hand, and nothing but the record remembers."""

import time

import pytest

from bridge.commands import spans
from bridge.store.engine import Store
from bridge.store.floods import summary
from tests.bridge.company import JANA, TOM, US, Company, chat_with

TRIO = chat_with(JANA, TOM)
LIST = {
    "List_Id": "Debian users <debian-user.lists.debian.org>",
    "List_Post": "<mailto:debian-user@lists.debian.org>",
}


@pytest.fixture
def company(store: Store) -> Company:
    return Company(store)


async def burst(company: Company, count: int, *, first: int = 0, **more: str) -> None:
    for n in range(first, first + count):
        await company.mail(JANA if n % 2 else TOM, f"line {n}", to=f"{US}, {TOM if n % 2 else JANA}", **more)


def lines(texts: list[str]) -> list[int]:
    return [int(text.rpartition(" ")[2]) for text in texts]


@pytest.mark.parametrize(
    ("kept", "subjects", "text"),
    [
        ({"Summer party": 27}, False, "27 more in “Summer party”. /show /mute"),
        ({"Summer party": 2, "Rent": 1}, False, "3 more in “Jana, Tom”. /show /mute"),
        ({"Keys": 2, "Rent": 1}, True, "3 more in “Jana, Tom”. /show /mute\n· Keys (2)\n· Rent"),
        (
            {f"Topic {n}": 1 for n in range(10)},
            True,
            "10 more in “Jana, Tom”. /show /mute\n" + "\n".join(f"· Topic {n}" for n in range(8)) + "\n+2",
        ),
    ],
)
def test_what_is_kept_is_told_in_a_line_or_a_digest(kept: dict[str, int], subjects: bool, text: str) -> None:
    assert summary("Jana, Tom", kept, "en", subjects=subjects) == text


async def test_after_ten_in_ten_minutes_a_summary_counts_the_rest_and_show_brings_it(
    company: Company,
) -> None:
    await burst(company, 37)
    assert lines(await company.texts()) == list(range(10))
    assert await company.told() == []
    company.clock.now += 61
    assert await company.told() == ["27 more in “Summer party”. /show /mute"]
    assert await company.says(TRIO, "/show") == "27 messages follow."
    assert lines(await company.texts()) == list(range(10, 37))
    assert await company.says(TRIO, "/show") == "Nothing is kept back here."


async def test_a_summary_waits_in_the_record_and_counts_on_after_a_restart(company: Company) -> None:
    await burst(company, 12)
    company.clock.now += 30
    again = Company(company.store)
    again.clock.now = company.clock.now
    await burst(again, 3, first=12)
    again.clock.now += 31
    assert await again.told() == ["5 more in “Summer party”. /show /mute"]
    await burst(again, 2, first=15)
    again.clock.now += 61
    assert await again.told() == []
    again.clock.now += 600
    assert await again.told() == ["7 more in “Summer party”. /show /mute"]


async def test_when_it_is_calm_again_mail_is_shown_as_it_comes(company: Company) -> None:
    await burst(company, 15)
    await company.shown()
    company.clock.now += 601
    await burst(company, 1, first=99)
    assert lines(await company.texts()) == [99]
    await company.says(TRIO, "/show")
    assert lines(await company.texts()) == list(range(10, 15))


async def test_a_plain_line_never_answers_what_was_kept(company: Company) -> None:
    await burst(company, 10)
    await company.mail(TOM, "line 10", to=f"{US}, {JANA}", Subject="Something else")
    await company.shown()
    await company.line(TRIO, "Slowly, please")
    assert await company.mails() == [({"jana@x.org"}, "Jana Berg <jana@x.org>", "")]
    await company.says(TRIO, "/show")
    await company.shown()
    await company.line(TRIO, "And you, Tom?")
    assert [to for to, _, _ in await company.mails()] == [{"tom@y.org"}]


async def test_a_mailing_list_above_twenty_an_hour_becomes_a_digest(company: Company) -> None:
    for n in range(23):
        await company.mail(JANA, f"post {n}", Subject=f"[debian-user] Topic {n // 2}", **LIST)
        company.clock.now += 60
    assert lines(await company.texts()) == list(range(20))
    company.clock.now += 3600
    assert await company.told() == [
        "3 more in “debian-user@lists.debian.org”. /show /mute\n· Topic 10 (2)\n· Topic 11"
    ]


async def test_one_person_may_write_as_fast_as_they_like(company: Company) -> None:
    for n in range(30):
        await company.mail(JANA, f"line {n}")
    assert len(await company.texts()) == 30


# --- mutes ---


async def test_a_chat_that_is_muted_for_a_while_is_heard_again_by_itself(company: Company) -> None:
    await burst(company, 1)
    assert (await company.says(TRIO, "/mute 2h")).startswith("Muted until ")
    await burst(company, 3, first=1)
    assert lines(await company.texts()) == [0]
    await company.gateway.came_back("mail", "mira@localhost")
    assert await company.texts() == []
    company.clock.now += 7201
    assert lines(await company.texts()) == [1, 2, 3]
    await burst(company, 1, first=4)
    assert lines(await company.texts()) == [4]


async def test_a_flood_while_muted_is_a_summary_afterwards(company: Company) -> None:
    await burst(company, 1)
    await company.shown()
    await company.says(TRIO, "/mute 2h")
    await burst(company, 30, first=1)
    company.clock.now += 3600
    assert await company.told() == []
    company.clock.now += 3700
    assert lines(await company.texts()) == list(range(1, 10))
    assert await company.told() == ["21 more in “Summer party”. /show /mute"]


async def test_unmuting_early_brings_what_came(company: Company) -> None:
    await burst(company, 1)
    await company.says(TRIO, "/mute 2h")
    await burst(company, 2, first=1)
    assert "what came meanwhile follows" in await company.says(TRIO, "/unmute")
    assert lines(await company.texts()) == [0, 1, 2]
    assert "is not muted" in await company.says(TRIO, "/unmute")


async def test_so_it_is_after_a_mute_for_a_time_that_is_ended_early(company: Company) -> None:
    await burst(company, 1)
    await company.says(TRIO, "/mute 3 days")
    for number in range(1, 16):
        company.clock.now += 3_600
        await burst(company, 1, first=number)
    assert "5 more messages came meanwhile: /show" in await company.says(TRIO, "/unmute")
    assert lines(await company.texts()) == list(range(11))
    await company.says(TRIO, "/show")
    assert lines(await company.texts()) == list(range(11, 16))


async def test_after_a_long_silence_the_beginning_follows_and_the_rest_is_told(company: Company) -> None:
    await burst(company, 1)
    await company.says(TRIO, "/mute")
    for n in range(1, 31):
        await burst(company, 1, first=n)
        company.clock.now += 120
    assert lines(await company.texts()) == [0]
    assert "20 more messages came meanwhile: /show" in await company.says(TRIO, "/unmute")
    assert lines(await company.texts()) == list(range(1, 11))
    assert await company.told() == []
    await company.says(TRIO, "/show")
    assert lines(await company.texts()) == list(range(11, 31))


async def test_a_mute_may_become_shorter_longer_or_endless(company: Company) -> None:
    await burst(company, 1)
    await company.says(TRIO, "/mute 2h")
    await burst(company, 1, first=1)
    await company.says(TRIO, "/mute 3h")
    company.clock.now += 7300
    assert lines(await company.texts()) == [0]
    await company.says(TRIO, "/mute")
    company.clock.now += 7300
    assert await company.texts() == []
    await company.says(TRIO, "/unmute")
    assert lines(await company.texts()) == [1]


async def test_one_person_can_be_muted_for_a_while_from_the_gateway_too(company: Company) -> None:
    await company.mail(JANA, "line 0")
    assert (await company.to_gateway("mute jana@x.org 30 min")).startswith("Muted until ")
    await company.mail(JANA, "line 1")
    assert lines(await company.texts()) == [0]
    assert "/mute 2h" in await company.to_gateway("mute jana@x.org for ever")
    assert "30 days" in await company.to_gateway("mute jana@x.org 10 weeks")
    company.clock.now += 1801
    assert lines(await company.texts()) == [1]


NOW = time.mktime((2026, 11, 21, 14, 30, 0, 0, 0, -1))  # a Saturday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", (21, 16, 30)),
        ("90 min", (21, 16, 0)),
        ("für 3 Tage", (24, 14, 30)),
        ("1 week", (28, 14, 30)),
        ("until monday", (23, 8, 0)),
        ("bis Samstag", (28, 8, 0)),
        ("until tomorrow", (22, 8, 0)),
        ("bis 18:00", (21, 18, 0)),
        ("until 9:15", (22, 9, 15)),
        ("until 25:00", None),
        ("0h", None),
        ("soon", None),
        ("3 fortnights", None),
    ],
)
def test_times_are_read_as_people_type_them(text: str, expected: tuple[int, int, int] | None) -> None:
    at = spans.end_of(text, NOW)
    then = time.localtime(at) if at is not None else None
    assert (then and (then.tm_mday, then.tm_hour, then.tm_min)) == expected
