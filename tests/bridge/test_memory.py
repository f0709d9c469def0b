"""What adapters remember and ask: on SQLite and PostgreSQL."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bridge.i18n import joined, tr
from bridge.memory import Memories
from bridge.model import DeliveryId, Kind, Outcome, Reaction, Report
from bridge.policy import RetryPolicy, after_attempt
from bridge.ports import Kept, NotRemembered, Sent
from bridge.store import asking, claiming, desk, people, recording, reports, settling, upkeep
from bridge.store.engine import Store
from bridge.store.settling import Settlement
from tests.bridge.records import GROUNDS, RECEIPTS_ON_SENT, Clock, draft, incoming

ALICE = "+15551234567"
NUMBER = "+15550001000"
NOW = 1_000.0


def count(known: Mapping[str, Any]) -> tuple[dict[str, Kept | None], int]:
    return {"n": Kept(known.get("n", 0) + 1, 60.0)}, known.get("n", 0)


async def test_many_changes_at_once_lose_none(store: Store) -> None:
    memory = Memories(store).of("sms")
    answers = await asyncio.gather(*(memory.change(["n"], count) for _ in range(100)))
    assert sorted(answers) == list(range(100))
    assert await memory.every("") == {"n": 100}
    assert await Memories(store).of("mail").every("") == {}


async def test_what_is_remembered_ends_with_its_time_and_is_cleared_away(store: Store) -> None:
    clock = Clock()
    memory = Memories(store, clock).of("sms")
    await memory.change(["n"], count)
    clock.now += 61
    assert await memory.every("") == {}
    assert await memory.change(["n"], count) == 0
    clock.now += 61
    await upkeep.tidy_all(store, clock.now, 1e9)
    clock.now -= 61
    assert await memory.every("") == {}


async def test_a_change_may_forget_and_finds_keys_by_their_beginning(store: Store) -> None:
    memory = Memories(store).of("sms")
    await memory.change(
        [], lambda _: ({"a/1": Kept({"x": "é"}, 60), "a/2": Kept(2, 60), "b": Kept(3, 60)}, None)
    )
    assert await memory.every("a/") == {"a/1": {"x": "é"}, "a/2": 2}
    await memory.change(["a/1"], lambda known: ({"a/1": None}, None))
    assert await memory.every("a/") == {"a/2": 2}


async def test_a_decision_that_breaks_hurts_nobody_else(store: Store) -> None:
    memory = Memories(store).of("sms")

    def breaks(known: Mapping[str, Any]) -> tuple[dict[str, Kept | None], int]:
        raise KeyError("a bug")

    results = await asyncio.gather(
        memory.change(["n"], count), memory.change(["n"], breaks), memory.change(["n"], count),
        return_exceptions=True,
    )  # fmt: skip
    assert (results[0], type(results[1]), results[2]) == (0, KeyError, 1)


async def test_a_store_that_fails_is_said_so(store: Store) -> None:
    memory = Memories(store).of("sms")
    too_long = "k" * 10_000_000 + "\0"
    with pytest.raises((NotRemembered, Exception)):
        await memory.change([too_long], lambda known: ({too_long: Kept(object(), 60)}, None))
    assert await memory.change(["n"], count) == 0


# --- what may be asked ---


async def sent(store: Store, sid: str, now: float = NOW, **more: Any) -> int:
    """A text of mira's that the provider took; its delivery's id."""
    await store.do(recording.record_out, [draft(to=ALICE, transport="sms", **more)], now)
    lanes = await store.look(claiming.open_lanes, "sms")
    found = await store.do(claiming.claim_for_good, "sms", list(lanes), now, 1)
    (one,) = [claimed for batch in found.by_lane.values() for claimed in batch]
    verdict = after_attempt(one.delivery, now, Sent(sid), now, RetryPolicy(), repeatable=False)
    await store.do(settling.settle, [Settlement(one, verdict, False)], now)
    return one.delivery.id


async def receipts(store: Store) -> int:
    lanes = await store.look(claiming.open_lanes, "xmpp:sms")
    found = await store.look(claiming.claim, "xmpp:sms", list(lanes), 1e9, 50)
    return len([c for batch in found.by_lane.values() for c in batch if c.delivery.kind is Kind.RECEIPT])


async def test_the_record_knows_whose_a_remote_id_is(store: Store) -> None:
    delivery = await sent(store, "SM1")
    arrived = incoming(transport="sms", sender=ALICE, remote_id="SM2")
    await store.do(recording.record_in, [arrived], GROUNDS, NOW)
    assert await store.look(asking.bound, "sms", ["SM1", "SM2", "SM3"]) == {"SM1": delivery}
    assert await store.look(asking.recorded, "sms", ["SM1", "SM2", "SM3"]) == {"SM2"}


async def test_a_carrier_that_reports_nothing_is_believed_after_a_while_once(store: Store) -> None:
    delivery = await sent(store, "SM1")
    assert not await store.do(asking.presume, "sms", NOW - 1, NOW + 1)
    assert await store.do(asking.presume, "sms", NOW + 1, NOW + 2)
    assert not await store.do(asking.presume, "sms", NOW + 1, NOW + 3)
    late = Report("sms", Outcome.DELIVERED, "SM1", DeliveryId(delivery))
    await store.do(reports.report, [late], RECEIPTS_ON_SENT, NOW + 4)
    assert await receipts(store) == 1


async def test_a_failure_after_a_presumed_receipt_is_told(store: Store) -> None:
    delivery = await sent(store, "SM1")
    await store.do(asking.presume, "sms", NOW + 1, NOW + 2)
    late = Report("sms", Outcome.FAILED, "SM1", DeliveryId(delivery), reason="It is a landline.")
    assert await store.do(reports.report, [late], RECEIPTS_ON_SENT, NOW + 4)


# --- reactions and shared numbers ---


async def inward(store: Store) -> list[tuple[str, str, dict[str, str]]]:
    """What goes to users: JID, body, options."""
    lanes = await store.look(claiming.open_lanes, "xmpp:sms")
    found = await store.look(claiming.claim, "xmpp:sms", list(lanes), 1e9, 50)
    claimed = [c.delivery for batch in found.by_lane.values() for c in batch]
    return [
        (d.recipient, d.message.body, dict(d.message.options))
        for d in sorted(claimed, key=lambda d: d.id)
        if d.kind is Kind.MESSAGE and d.message
    ]


@pytest.mark.parametrize(("removed", "emoji"), [(False, "👍"), (True, "")])
async def test_a_reaction_finds_the_message_that_it_is_about(store: Store, removed: bool, emoji: str) -> None:
    await sent(store, "SM1", body="See you “at six”", stanza_id="mine")
    liked = incoming(
        'Liked "See you “at six”"',
        ALICE,
        transport="sms",
        reaction=Reaction("👍", 'See you "at six"', removed),
    )
    await store.do(recording.record_in, [liked], GROUNDS, NOW)
    ((_, _, options),) = await inward(store)
    assert (options["reacts_to"], options["reaction"]) == ("mine", emoji)


async def mails(store: Store) -> dict[str, dict[str, str]]:
    """Options of what goes to users of mail, by body."""
    lanes = await store.look(claiming.open_lanes, "xmpp:mail")
    found = await store.look(claiming.claim, "xmpp:mail", list(lanes), 1e9, 50)
    said = [c.delivery.message for batch in found.by_lane.values() for c in batch]
    return {one.body: dict(one.options) for one in said if one is not None}


async def test_a_reaction_by_mail_finds_what_it_names(store: Store) -> None:
    mine = draft("ok", remote_id="<m@chat.example>", stanza_id="mine")
    await store.do(recording.record_out, [mine], NOW)
    liked, other = (
        incoming(emoji, references=(mine.remote_id,), reaction=Reaction(emoji, "", remote_id=about))
        for emoji, about in (("👍", mine.remote_id), ("🎉", "<x@chat.example>"))
    )
    await store.do(recording.record_in, [liked, other], GROUNDS, NOW)
    told = await mails(store)
    assert (told["👍"]["reacts_to"], told["👍"]["reaction"]) == ("mine", "👍")
    assert "reacts_to" not in told["🎉"]


async def test_what_the_gateway_says_of_a_mail_is_in_its_readers_language(store: Store) -> None:
    await store.do(desk.choose_language, "mira@localhost", "de")
    said = incoming(tr("(empty mail)"), lead=joined(tr("🔁 Automatic answer:"), " "))
    written = incoming("Meeting")  # what people write is theirs
    await store.do(recording.record_in, [said, written], GROUNDS, NOW)
    told = await mails(store)
    assert told["(leere Mail)"]["lead"].endswith("🔁 Automatische Antwort: ")
    assert "Meeting" in told


async def test_a_reaction_to_what_nobody_knows_is_a_text(store: Store) -> None:
    liked = incoming('Liked "that"', ALICE, transport="sms", reaction=Reaction("👍", "that"))
    await store.do(recording.record_in, [liked], GROUNDS, NOW)
    ((_, body, options),) = await inward(store)
    assert body == 'Liked "that"'
    assert "reacts_to" not in options


async def test_a_shared_number_s_texts_go_to_all_until_somebody_has_written_there(store: Store) -> None:
    shared = frozenset({"+15559990000"})
    for user in ("ann@localhost", "bob@localhost"):
        line = await store.do(people.register, "sms", user, user, list(shared), NOW, shared=shared)
        assert line.address == "+15559990000"
    text = incoming("to all", ALICE, transport="sms", recipient="+15559990000")
    await store.do(recording.record_in, [text, text], GROUNDS, NOW)
    assert sorted((jid, body) for jid, body, _ in await inward(store)) == [
        ("ann@localhost", "to all"),
        ("bob@localhost", "to all"),
    ]
    await store.do(
        recording.record_out,
        [draft(to=ALICE, transport="sms", jid="bob@localhost", from_jid="bob@localhost/x")],
        NOW,
    )
    answer = incoming("to bob", ALICE, transport="sms", recipient="+15559990000")
    stranger = incoming("to all again", "+15557777777", transport="sms", recipient="+15559990000")
    await store.do(recording.record_in, [answer, stranger], GROUNDS, NOW + 1)
    said = [(jid, body) for jid, body, _ in await inward(store)]
    assert said.count(("bob@localhost", "to bob")) == 1
    assert ("ann@localhost", "to bob") not in said
    assert len([body for _, body in said if body == "to all again"]) == 2


async def test_a_number_of_one_s_own_goes_before_a_shared_one_and_is_nobody_else_s(store: Store) -> None:
    shared = frozenset({"+15559990000"})
    numbers = ["+15559990000", "+15558880000"]
    ann = await store.do(people.register, "sms", "ann@localhost", "", numbers, NOW, shared=shared)
    bob = await store.do(people.register, "sms", "bob@localhost", "", numbers, NOW, shared=shared)
    assert (ann.address, bob.address) == ("+15558880000", "+15559990000")
    with pytest.raises(people.AddressTaken):
        await store.do(people.register, "sms", "eve@localhost", "", ["+15558880000"], NOW)
