"""Whom a message is recorded for, when its transport names others than the contact: through the gateway,
the record and the email adapter, on both databases."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from adapters.email.adapter import EmailAdapter
from adapters.email.settings import EmailSettings
from bridge.events import Denied, Transport, Written
from bridge.gateway import Gateway
from bridge.model import Address, Kind
from bridge.ports import Refused, Sent
from bridge.store.engine import Store
from bridge.store.tables import deliveries, messages
from tests.adapters.contract import context
from tests.bridge.records import incoming
from tests.bridge.test_store import claimed, notes, settled

MIRA = "mira@localhost"
NOW = 1_000.0
SETTINGS = EmailSettings.model_validate(
    {
        "adapter": "email",
        "jid": "mail.localhost",
        "secret": "s",
        "domains": ["chat.example"],
        "address": "{user}@chat.example",
        "coalesce_seconds": 0,
    }
)
GROUP = {
    "from": "Jana <jana@x.example>",
    "to": "Mira <mira@chat.example>, tom@y.example",
    "others": "Jana <jana@x.example>, tom@y.example",
}


@pytest.fixture
def gateway(store: Store) -> Gateway:
    adapter = EmailAdapter.from_settings(SETTINGS, context("mail"))
    mail = Transport.of("mail", "mail.localhost", "s", adapter, "Email", 1000, 1000)
    return Gateway(store, {"mail": mail}, ["localhost"], clock=lambda: NOW)


def line(body: str, to: str = "jana%x.example", **more: Any) -> Written:
    values: dict[str, Any] = {"stanza_id": body, "wants_receipt": True, "from_full": f"{MIRA}/phone"}
    return Written(MIRA, local=to, body=body, **values | more)


async def write(gateway: Gateway, *lines: Written) -> list[Denied | None]:
    return await gateway.carry_out("mail", lines)


async def group_mail(gateway: Gateway, **memo: str) -> None:
    mail = incoming(
        "Party?", "jana@x.example", subject="Party", memo={**GROUP, **memo}, dedupe=str(memo)
    )
    await gateway.accept([mail])


def _recipients(connection: Connection, body: str) -> set[str]:
    rows = select(deliveries.c.recipient).join(messages).where(
        messages.c.body == body, deliveries.c.kind == Kind.MESSAGE
    )
    return set(connection.execute(rows).scalars())


async def test_a_plain_line_and_one_to_all_have_a_delivery_for_each_they_reach(
    gateway: Gateway, store: Store
) -> None:
    await group_mail(gateway)
    assert await write(gateway, line("me"), line("us", options={"all": "1"})) == [None, None]
    assert await store.look(_recipients, "me") == {"jana@x.example"}
    assert await store.look(_recipients, "us") == {"jana@x.example", "tom@y.example"}


async def test_what_is_refused_costs_the_others_nothing_and_may_be_said_again(
    gateway: Gateway, store: Store
) -> None:
    await group_mail(gateway)
    by_bcc = {"from": "jana@x.example", "to": "tom@y.example"}
    await gateway.accept([incoming("psst", "jana@x.example", memo=by_bcc)])
    to_all = line("two", options={"all": "1"})
    first, refused, third = await write(gateway, line("one"), to_all, line("three"))
    assert (first, third) == (None, None)
    assert refused is not None
    assert "neither To nor Cc" in refused.text
    assert await store.look(_recipients, "two") == set()
    assert await write(gateway, line("two")) == [None]
    assert await store.look(_recipients, "two") == {"jana@x.example"}


async def test_several_people_of_one_chat_get_one_message_with_one_receipt(
    gateway: Gateway, store: Store
) -> None:
    await write(gateway, line("hello", r"bob\40b.example,alice\40a.example"))
    first, second = await claimed(store, "mail")
    assert [first.delivery.recipient, second.delivery.recipient] == ["alice@a.example", "bob@b.example"]
    assert first.delivery.message == second.delivery.message
    await settled(store, first, Sent())
    assert await notes(store) == []
    await settled(store, second, Sent())
    assert await notes(store) == [(Kind.RECEIPT, "hello", "")]


async def test_the_first_refusal_is_the_one_error(gateway: Gateway, store: Store) -> None:
    await write(gateway, line("hello", r"alice\40a.example,bob\40b.example"))
    first, second = await claimed(store, "mail")
    await settled(store, first, Refused("alice@a.example does not exist there."))
    await settled(store, second, Refused("bob@b.example does not exist there."))
    assert await notes(store) == [(Kind.ERROR, "hello", "alice@a.example does not exist there.")]


async def test_only_the_first_line_that_answers_a_mail_may_quote_it(gateway: Gateway, store: Store) -> None:
    await group_mail(gateway)
    await write(gateway, line("a"), line("b"))
    await write(gateway, line("c"))
    await group_mail(gateway, again="1")
    await write(gateway, line("d"))
    sent = [one.delivery.message for one in await claimed(store, "mail")]
    found = {one.body: one for one in sent if one is not None}
    assert {body: one.memo.get("quote") for body, one in found.items()} == {
        "a": "1", "b": None, "c": None, "d": "1",
    }  # fmt: skip
    assert all(one.answered is not None and one.answered.body == "Party?" for one in found.values())


async def test_the_contact_is_written_to_as_a_person_spelled_it(gateway: Gateway, store: Store) -> None:
    mail = incoming("hi", memo={"from": "al@x.example"})
    await gateway.accept([replace(mail, sender=Address("al@x.example", "Al@X.example"))])
    await write(gateway, line("yes", "al%x.example"))
    assert await store.look(_recipients, "yes") == {"Al@X.example"}


async def test_a_sender_hears_once_of_a_mail_that_nobody_will_see(gateway: Gateway, store: Store) -> None:
    await gateway.accept([incoming("lost", memo={"return": "alice@example.com"})])
    await gateway.accept([incoming("silent")])
    for one in await claimed(store, "xmpp:mail"):
        await settled(store, one, Refused("They are gone."))
    (told,) = await claimed(store, "mail")
    assert (told.delivery.kind, told.delivery.recipient) == (Kind.ERROR, "alice@example.com")
    assert told.delivery.message is not None
    assert told.delivery.message.body == "lost"
    await settled(store, told, Refused("550 no"))
    assert await claimed(store, "mail") == []
    assert await notes(store) == []
