"""May it go, and when: decisions as tables."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.sms import guards, numbers
from adapters.sms.guards import Ask, Go, Limits
from bridge.ports import Refused, Scope, Sent, TryLater
from tests.support.sms import ALICE, OURS, delivery, rig

ASK = Ask(
    delivery=7, sender=OURS, contact=ALICE, pool=OURS, jid="mira@example.org", segments=1, counted=1,
    rate=1.0, first=False, heard_at=0.0, recorded_at=1_000.0, now=1_000.0,
)  # fmt: skip
LIMITS = Limits(validity=14_400.0, segments_per_day=100, new_numbers_per_day=10)
TODAY = ASK.quota


@pytest.mark.parametrize(
    ("ask", "known", "decision"),
    [
        ({}, {}, Go),
        ({}, {f"pace/{OURS}": 1_005.0}, TryLater),
        ({}, {"turn/7": {"at": 1_010.0}}, TryLater),
        ({"now": 1_010.0}, {"turn/7": {"at": 1_010.0}, f"pace/{OURS}": 2_000.0}, Go),  # its turn is its own
        ({}, {"turn/7": {"gone": 990.0}, TODAY: {"segments": 100, "new": 0}}, Go),  # counted once
        ({}, {TODAY: {"segments": 99, "new": 10}}, Go),
        ({"counted": 2}, {TODAY: {"segments": 99, "new": 0}}, Refused),
        ({"segments": 11}, {TODAY: {"segments": 99, "new": 0}}, Go),  # counted with the first part
        ({"first": True}, {TODAY: {"segments": 0, "new": 10}}, Refused),
        ({}, {f"stop/{OURS}/{ALICE}": {}}, Refused),
        ({}, {f"stop/{OURS}/+15550000000": {}}, Go),
        ({}, {f"pause/{OURS}": {"code": 30034}}, Refused),
        ({"recorded_at": -20_000.0}, {}, Refused),
        ({}, {f"loop/{OURS}/{ALICE}": {"count": 0, "at": 990.0, "until": 1_001.0}}, Refused),
    ],
)
def test_what_is_remembered_decides(ask: dict[str, Any], known: dict[str, Any], decision: type) -> None:
    writes, found = guards.decide(replace(ASK, **ask), LIMITS, known)
    assert isinstance(found, decision)
    if isinstance(found, Refused):
        assert writes == {}  # what is refused is not counted
        assert found.reason[-1] in ".)"
    if isinstance(found, TryLater):
        assert found.scope is Scope.TURN


def test_segments_are_what_a_number_is_paced_by() -> None:
    writes, found = guards.decide(replace(ASK, segments=3), LIMITS, {})
    assert isinstance(found, Go)
    assert writes[f"pace/{OURS}"] is not None
    assert writes[f"pace/{OURS}"].value == 1_003.0


@pytest.mark.parametrize(
    ("number", "rate"),
    [
        ("+12025550142", 1.0),
        ("+18005550142", 3.0),
        ("+491705550199", 10.0),
        ("72975;phone-context=+1", 100.0),
        ("mybank", 10.0),
    ],
)
def test_carriers_take_so_much_from_a_number_of_each_kind(number: str, rate: float) -> None:
    assert guards.usual_rate(number) == rate


@pytest.mark.parametrize(
    ("recipient", "countries", "goes"),
    [
        (ALICE, (), True),
        ("+12025550142", (), True),
        ("+18765550142", (), False),  # Jamaica has the same country code, and another price
        ("+491705550199", (), False),
        ("+491705550199", ("US", "de"), True),
        ("+491705550199", ("*",), True),
        ("72975;phone-context=+1", (), True),
    ],
)
async def test_texts_go_to_the_countries_that_the_settings_allow(
    recipient: str, countries: tuple[str, ...], goes: bool
) -> None:
    async with rig(transport_settings={"countries": countries}) as it:
        fate = await it.send(delivery("hello", recipient=recipient))
        assert isinstance(fate, Sent if goes else Refused)
        if isinstance(fate, Refused):
            assert "switched off here" in fate.reason
            assert not it.twilio.exchanges


async def test_a_user_has_so_many_new_numbers_a_day() -> None:
    async with rig(transport_settings={"new_numbers_per_day": 2}) as it:
        fates = [
            await it.send(delivery("hi", n, recipient=f"+1202555014{n}", message={"conversation_id": n}))
            for n in range(1, 4)
        ]
        assert [type(fate) for fate in fates] == [Sent, Sent, Refused]
        again = delivery("please", 4, recipient="+12025550143", message={"conversation_id": 3})
        assert isinstance(await it.send(again), Refused)  # a second try makes nobody known
        known = delivery("hi again", 9, recipient="+12025550141", message={"conversation_id": 1})
        assert isinstance(await it.send(known), Sent)
        it.now[0] += 86_400
        later = delivery("hi", 10, recipient="+12025550144", message={"conversation_id": 4})
        assert isinstance(await it.send(replace(later, recorded_at=it.now[0])), Sent)


@pytest.mark.parametrize("limit", ["segments_per_day", "new_numbers_per_day"])
async def test_a_long_text_that_is_over_a_quota_does_not_go_by_half(limit: str) -> None:
    body = "word " * 900  # three parts, 31 segments
    async with rig(transport_settings={limit: 25 if limit == "segments_per_day" else 1}) as it:
        assert isinstance(await it.send(delivery("hi", 1, recipient="+12025550141")), Sent)
        other = {"conversation_id": 2, "uid": "of-the-long-one"}
        for part in (1, 2, 3):
            fate = await it.send(delivery(body, 1 + part, part=part, parts=3, message=other))
            assert isinstance(fate, Refused)
            assert fate.code == "quota"
        assert it.twilio.sent_to(ALICE) == []
        short = delivery("in short", 9, recipient="+12025550141", message={"conversation_id": 1})
        assert isinstance(await it.send(short), Sent)


def test_an_address_has_a_country_or_none() -> None:
    assert [numbers.country_of(one) for one in ("+12025550142", "+18765550142", ALICE, "mybank")] == [
        "US",
        "JM",
        "",
        "",
    ]
