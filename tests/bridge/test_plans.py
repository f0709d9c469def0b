"""What a message costs must not grow with what the record holds: no statement on its way reads a whole table.

SQLite tells how it goes about a statement; what it would read from end to end is a SCAN.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from bridge.events import Denied, Retracted
from bridge.model import Outcome, Report
from bridge.store import cards
from bridge.store.engine import database_url
from bridge.store.tables import messages
from tests.bridge.company import EVA, JANA, MIRA, TOM, US, Company, chat_with
from tests.bridge.records import a_store

LARGE = frozenset(
    {
        "users",
        "lines",
        "line_addresses",
        "contacts",
        "conversations",
        "conversation_contacts",
        "members",
        "threads",
        "messages",
        "deliveries",
        "attachments",
        "seen",
        "cards",
    }
)
_SCAN = re.compile(r"SCAN (\w+)")

Seen = dict[str, Any]


@pytest.fixture
def statements() -> Iterator[Seen]:
    """Every statement that is run from now on, with parameters that it was run with."""
    seen: Seen = {}

    def note(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        seen.setdefault(statement, parameters[0] if many else parameters)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def whole_tables(connection: Connection, statements: Seen) -> list[str]:
    found = []
    for statement, parameters in statements.items():
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for step in [row[3] for row in plan]:
                scan = _SCAN.match(step)
                if scan is not None and scan[1] in LARGE:
                    found.append(f"{step}: {' '.join(statement.split())}")
    return found


async def test_no_message_reads_a_whole_table_whichever_way_it_goes(tmp_path: Path, statements: Seen) -> None:
    async with a_store(database_url("sqlite", tmp_path)) as store:
        company = Company(store, strangers="ask")
        statements.clear()
        await _talk(company)
        await _crowd(company)
        await store.look(cards.wearers, "mail", US, "jana@x.org")
        seen = dict(statements)
        found = await store.look(whole_tables, seen)
        assert not found, "\n".join(found)


async def _talk(company: Company) -> None:
    """One person: a first mail that is asked about, an answer, a receipt, what is taken back."""
    chat = chat_with(JANA)
    asked = await company.mail(JANA, "Hello")
    await company.shown()
    await company.to_gateway("accept 1")
    await company.shown()
    await company.line(chat, "Hello yourself", wants_receipt=True, subject="Boats")
    await company.mails()
    sent = await company.store.look(_sent)
    await company.mail(JANA, "Well", References=f"{asked} {sent}", In_Reply_To=sent)
    ids = await company.stanzas()
    await company.line(chat, "Better", reply_to=ids[-1])
    with suppress(Denied):
        await company.gateway.send_now("mail", MIRA, chat)
    await company.gateway.carry_out("mail", [Retracted(MIRA, f"{MIRA}/phone", chat, "r1", "s1")])
    report = Report("mail", Outcome.DELIVERED, remote_id=sent, recipient="jana@x.org")
    await company.gateway.inbox("mail").report([report])
    await company.sent_elsewhere("From my desk", to=JANA)
    await company.own()


def _sent(connection: Connection) -> str:
    """The Message-ID of what went last."""
    newest = select(func.max(messages.c.id)).scalar_subquery()
    return connection.execute(select(messages.c.remote_id).where(messages.c.id == newest)).scalar_one()


async def _crowd(company: Company) -> None:
    """Several people: more than is shown at once, and what the user answers."""
    chat = chat_with(JANA, TOM)
    for number in range(12):
        await company.mail(JANA, f"Party {number}", to=f"{US}, {TOM}")
    await company.shown()
    await company.line(chat, "I come")
    await company.says(chat, "/show")
    await company.mail(EVA, "Me too", to=f"{US}, {JANA}, {TOM}")
    await company.shown()
