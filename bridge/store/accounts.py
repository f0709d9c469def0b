"""Users' own accounts: whose they are, what is kept of them (sealed), and what waits for a proof.

Every function is one transaction, or part of one.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, text, update

from bridge.model import Kind, Line, LineId, State
from bridge.ports import Account, CheckedAccount
from bridge.store import invites, people
from bridge.store.rows import Lane, insert_new
from bridge.store.tables import ASLEEP, accounts, cursors, deliveries, lines, proofs, users


def bring(
    connection: Connection, transport: str, jid: str, name: str, account: CheckedAccount, now: float
) -> Line:
    """Make the account the user's line, or put it in the place of the one before. Raises AddressTaken."""
    line = people.register(connection, transport, jid, name, [account.address], now, move=True)
    before = connection.execute(
        select(accounts.c.address).where(accounts.c.line_id == line.id)
    ).scalar_one_or_none()
    values = {"address": account.address, "sealed": account.sealed, "brought_at": now}
    statement = insert_new(connection, accounts).values(line_id=line.id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[accounts.c.line_id], set_=values))
    if before != account.address:
        # Nothing old is taken in from an account that is new here; what has waited in a known one is.
        _forget_places(connection, line)
    return line


def _forget_places(connection: Connection, line: Line) -> None:
    beginning = f"{line.transport}/account/{line.id}/"
    connection.execute(delete(cursors).where(cursors.c.name.startswith(beginning, autoescape=True)))


def renew(connection: Connection, line: Line, account: CheckedAccount, now: float) -> list[Lane]:
    """The same account with another password: what waits to be sent through it is due. Answers its lanes."""
    connection.execute(
        update(accounts)
        .where(accounts.c.line_id == line.id, accounts.c.address == account.address)
        .values(sealed=account.sealed)
    )
    return _due(connection, line, account.address, now)


def _due(connection: Connection, line: Line, address: str, now: float) -> list[Lane]:
    """What waits for another try to be sent from an address is tried now."""
    rows = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.outlet == line.transport,
            deliveries.c.sender == address,
            deliveries.c.kind == Kind.MESSAGE,
            text(f"deliveries.{ASLEEP}"),
            deliveries.c.state == State.WAITING,
            deliveries.c.attempts > 0,
        )
        .values(due_at=now, hold_until=0.0)
        .returning(deliveries.c.outlet, deliveries.c.lane)
    )
    return [(row.outlet, row.lane) for row in rows]


def remove(
    connection: Connection, line: Line, candidates: Sequence[str], now: float
) -> tuple[Line, list[Lane]]:
    """Forget the account: the line has one of the gateway's own addresses again, and what waits to be sent
    through it is tried, to be refused. Answers the line, and lanes to ring. Raises AddressTaken."""
    gone = connection.execute(
        delete(accounts).where(accounts.c.line_id == line.id).returning(accounts.c.address)
    ).scalar_one_or_none()
    _forget_places(connection, line)
    left = people.register(connection, line.transport, line.jid, line.name, candidates, now, move=True)
    return left, _due(connection, line, gone, now) if gone is not None else []


_ACCOUNTS = (
    select(accounts.c.line_id, users.c.jid, lines.c.address, accounts.c.sealed)
    .join(lines, lines.c.id == accounts.c.line_id)
    .join(users, users.c.id == lines.c.user_id)
    # The account of a line that has moved to another address does not count.
    .where(lines.c.address == accounts.c.address)
)


def accounts_on(connection: Connection, transport: str) -> list[Account]:
    rows = connection.execute(_ACCOUNTS.where(lines.c.transport == transport).order_by(accounts.c.line_id))
    return [Account(LineId(row.line_id), row.jid, row.address, bytes(row.sealed)) for row in rows]


def account_of(connection: Connection, line_id: int) -> Account | None:
    row = connection.execute(_ACCOUNTS.where(accounts.c.line_id == line_id)).one_or_none()
    return None if row is None else Account(LineId(row.line_id), row.jid, row.address, bytes(row.sealed))


# --- until the address is proven ---


def begin_proof(connection: Connection, line: Line, account: CheckedAccount, code: str, now: float) -> bool:
    """Keep the account, sealed, beside the code that goes to its address. False when a code went out too
    short a time ago."""
    begun = invites.begin_proof(connection, line.user_id, line.transport, account.address, code, now)
    if begun:
        mine = (proofs.c.user_id == line.user_id, proofs.c.transport == line.transport)
        connection.execute(update(proofs).where(*mine).values(sealed=account.sealed))
    return begun


def prove(connection: Connection, line: Line, code: str, now: float) -> tuple[Line | None, bool]:
    """The line with the address, or the account, that this code proves the user's; None if it proves
    none. And whether it is an account. Raises AddressTaken."""
    mine = (proofs.c.user_id == line.user_id, proofs.c.transport == line.transport)
    sealed = connection.execute(select(proofs.c.sealed).where(*mine)).scalar_one_or_none()
    address = invites.prove(connection, line.user_id, line.transport, code, now)
    if not address:
        return None, False
    if sealed is None:
        moved = people.register(connection, line.transport, line.jid, line.name, [address], now, move=True)
        return moved, False
    account = CheckedAccount(address, bytes(sealed), proven=True)
    return bring(connection, line.transport, line.jid, line.name, account, now), True
