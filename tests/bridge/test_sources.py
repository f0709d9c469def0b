"""The record of sources: places with their mails, accounts, own mails, marks of reading, words to a user."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from bridge.model import Address, Envelope, Kind, State
from bridge.ports import CheckedAccount, Displayed
from bridge.store import accounts, claiming, inputs, people, recording, sources
from bridge.store.engine import Store
from bridge.store.tables import deliveries, messages
from tests.bridge.records import GROUNDS, draft, incoming

ENVELOPE = Envelope("mail", "a@example.com", ("mira@chat.example",), 5.0)
OWN = CheckedAccount("mira@family.example", b"sealed")


def states(connection: Connection, kind: Kind) -> list[tuple[str, str]]:
    """Outlet and state of the deliveries of a kind, oldest first."""
    rows = connection.execute(
        select(deliveries.c.outlet, deliveries.c.state)
        .where(deliveries.c.kind == kind)
        .order_by(deliveries.c.id)
    )
    return [(row.outlet, row.state) for row in rows]


async def test_mails_and_their_place_are_recorded_together_or_not_at_all(store: Store) -> None:
    await store.do(sources.keep, [(b"one", ENVELOPE), (b"two", ENVELOPE)], "mail/INBOX", "7:2")
    assert await store.look(sources.cursor, "mail/INBOX") == "7:2"
    with pytest.raises(ValueError, match="an accident"):
        await store.do(_breaks_after_keeping)
    assert await store.look(sources.cursor, "mail/INBOX") == "7:2"
    assert [one.raw for one in await store.look(inputs.oldest, 10, 1000)] == [b"one", b"two"]
    await store.do(sources.keep, [], "mail/INBOX", "8:1")
    assert await store.look(sources.cursor, "mail/INBOX") == "8:1"
    assert await store.look(sources.cursor, "mail/Sent") == ""


def _breaks_after_keeping(connection: Connection) -> None:
    sources.keep(connection, [(b"three", ENVELOPE)], "mail/INBOX", "7:3")
    raise ValueError("an accident")


async def test_an_account_becomes_the_line_and_counts_while_the_line_has_its_address(store: Store) -> None:
    line = await store.do(accounts.bring, "mail", "mira@localhost", "Mira", OWN, 2.0)
    assert line.address == "mira@family.example"
    await store.do(sources.keep, [], f"mail/account/{line.id}/inbox", "7:9")
    (account,) = await store.look(accounts.accounts_on, "mail")
    assert (account.line_id, account.jid, account.sealed) == (line.id, "mira@localhost", b"sealed")
    # Brought again, with another password: what lies there since then is still to come.
    await store.do(accounts.bring, "mail", "mira@localhost", "Mira", replace(OWN, sealed=b"new"), 3.0)
    assert [one.sealed for one in await store.look(accounts.accounts_on, "mail")] == [b"new"]
    assert await store.look(sources.cursor, f"mail/account/{line.id}/inbox") == "7:9"
    # Another one: nothing old comes from it.
    other = replace(OWN, address="mira@work.example")
    await store.do(accounts.bring, "mail", "mira@localhost", "Mira", other, 3.0)
    assert await store.look(sources.cursor, f"mail/account/{line.id}/inbox") == ""
    # Back to an address of the gateway's own.
    await store.do(people.register, "mail", "mira@localhost", "Mira", ["mira@chat.example"], 4.0, move=True)
    assert await store.look(accounts.accounts_on, "mail") == []


async def test_an_account_goes_with_its_user(store: Store) -> None:
    await store.do(accounts.bring, "mail", "mira@localhost", "Mira", OWN, 2.0)
    await store.do(people.leave, "mail", "mira@localhost", 3.0)
    assert await store.look(accounts.accounts_on, "mail") == []


async def test_what_is_told_once_is_not_told_again(store: Store) -> None:
    for once in ("a", "a", "b", "", ""):
        await store.do(sources.tell, "mail.localhost", "xmpp:mail", "mira@localhost", "words", once, 5.0)
    assert len(await store.look(states, Kind.NOTICE)) == 4


async def test_reading_a_message_reads_those_before_it_once(store: Store) -> None:
    mails = [incoming(f"{n}", memo={"imap": f"INBOX:7:{n}"}) for n in range(4)]
    elsewhere = incoming("x", "bob@example.com", memo={"imap": "INBOX:7:9"})
    await store.do(recording.record_in, [*mails, elsewhere], GROUNDS, 10.0)
    ids = await store.look(_stanza_ids)

    async def read(place: int) -> set[str]:
        found = await store.do(sources.displayed, "mail", "mira@localhost", [ids[place]])
        assert all(isinstance(one, Displayed) and one.recipient == "mira@chat.example" for one in found)
        return {one.memo["imap"] for one in found}

    assert await read(2) == {"INBOX:7:0", "INBOX:7:1", "INBOX:7:2"}
    assert await read(1) == set()
    assert await read(3) == {"INBOX:7:3"}
    assert await store.do(sources.displayed, "mail", "noor@localhost", [ids[4]]) == []
    assert await store.do(sources.displayed, "mail", "mira@localhost", ["no such id"]) == []


def _stanza_ids(connection: Connection) -> list[str]:
    return list(connection.execute(select(messages.c.stanza_id).order_by(messages.c.id)).scalars())


async def test_what_the_user_wrote_elsewhere_joins_the_conversation_and_its_thread(store: Store) -> None:
    own = incoming("Shall we?", "bob@example.com", own=True, remote_id="<e@family.example>", subject="Picnic")
    lanes = await store.do(recording.record_in, [own, own], GROUNDS, 10.0)
    assert {lane[0] for lane in lanes} == {"xmpp:mail"}
    assert await store.look(states, Kind.OWN) == [("xmpp:mail", State.READY)]
    answer = incoming("Yes", "bob@example.com", references=("<e@family.example>",), subject="Picnic")
    await store.do(recording.record_in, [answer], GROUNDS, 11.0)
    threads = await store.look(lambda c: list(c.execute(select(messages.c.thread_id)).scalars()))
    assert len(threads) == 2
    assert len(set(threads)) == 1


async def test_our_own_mail_seen_among_the_sent_settles_what_is_in_doubt_and_is_not_repeated(
    store: Store,
) -> None:
    doubtful, untried = draft("did it go?"), draft("not yet", to="bob@example.com")
    await store.do(recording.record_out, [doubtful, untried], 10.0)
    await store.do(_broke_off)
    seen = [
        incoming("x", one.address.canonical, own=True, remote_id=one.remote_id) for one in (doubtful, untried)
    ]
    await store.do(recording.record_in, seen, GROUNDS, 12.0)
    assert await store.look(states, Kind.MESSAGE) == [("mail", State.SENT), ("mail", State.READY)]
    assert len(await store.look(states, Kind.RECEIPT)) == 1
    assert await store.look(states, Kind.OWN) == []


def _broke_off(connection: Connection) -> None:
    first = connection.execute(select(deliveries.c.id).order_by(deliveries.c.id).limit(1)).scalar_one()
    connection.execute(
        deliveries.update().where(deliveries.c.id == first).values(state=State.WAITING, attempts=1)
    )


async def test_an_own_message_that_cannot_be_shown_is_nobodys_error(store: Store) -> None:
    own = incoming("Shall we?", "bob@example.com", own=True, remote_id="<e@family.example>")
    ((outlet, lane), *_) = await store.do(recording.record_in, [own], GROUNDS, 10.0)
    found = await store.look(claiming.claim, outlet, [lane], 11.0, 10)
    (claimed,) = found.by_lane[lane]
    assert claimed.delivery.kind is Kind.OWN
    assert claimed.delivery.message is not None
    assert claimed.delivery.sender == "bob\\40example.com@mail.localhost"
    assert claimed.delivery.recipient == "mira@localhost"
    assert Address("bob@example.com", "bob@example.com") == own.sender
