"""Whose lines messages are written from, or come for: rows that tell of a line and of its user."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from bridge.model import Incoming
from bridge.options import COALESCE
from bridge.policy import own_window
from bridge.store.drafts import Draft
from bridge.store.many import among
from bridge.store.rows import unpack
from bridge.store.tables import line_addresses, lines, users

_OWNER = (
    lines.c.transport,
    lines.c.name,
    lines.c.user_id,
    lines.c.choices,
    users.c.jid,
    users.c.language,
    users.c.spoken,
)
_OWN = (
    select(func.aggregate_strings(line_addresses.c.address, "\n"))
    .where(line_addresses.c.line_id == lines.c.id)
    .correlate(lines)
    .scalar_subquery()
)
# `own` are all addresses of the line, with line breaks between.
_BY_JID = (
    select(*_OWNER, lines.c.address, func.coalesce(_OWN, lines.c.address).label("own"))
    .join(users, users.c.id == lines.c.user_id)
    .where(
        among(lines.c.transport, "transports"),
        among(users.c.jid, "jids"),
    )
)
# `address` is the one that was asked for, `first` the one that the line itself goes by.
_BY_ADDRESS = (
    select(*_OWNER, line_addresses.c.address, lines.c.address.label("first"))
    .join(users, users.c.id == lines.c.user_id)
    .join(line_addresses, line_addresses.c.line_id == lines.c.id)
    .where(
        among(line_addresses.c.transport, "transports"),
        among(line_addresses.c.address, "addresses"),
    )
)


def lines_of_users(connection: Connection, drafts: Sequence[Draft]) -> dict[tuple[str, str], Any]:
    """The lines from which drafts are written, by transport and bare JID."""
    rows = connection.execute(
        _BY_JID, {"transports": list({d.transport for d in drafts}), "jids": list({d.jid for d in drafts})}
    )
    return {(row.transport, row.jid): row for row in rows}


def lines_by_address(connection: Connection, incoming: Sequence[Incoming]) -> Sequence[Any]:
    """The lines for which messages have come; several for an address that users share."""
    return connection.execute(
        _BY_ADDRESS,
        {
            "transports": list({one.transport for one in incoming}),
            "addresses": list({one.recipient for one in incoming}),
        },
    ).all()


def window_of(draft: Draft, line: Any) -> float:
    """How many seconds a draft waits for more lines."""
    if draft.coalesce is None:
        return 0.0
    chosen = unpack(line.choices).get(COALESCE, "") if line.choices else ""
    return own_window(chosen, draft.coalesce) if chosen else draft.coalesce
