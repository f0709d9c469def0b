"""Invitations to register, and proofs that an address is a user's own. Keeps hashes of tokens and codes."""

from sqlalchemy import Connection, delete, insert, select, update

from bridge.store.rows import hash_key, insert_new
from bridge.store.tables import invites, proofs

MOST_TRIES = 5  # of one code
CODE_LASTS = 15 * 60.0  # seconds
NEXT_CODE_AFTER = 60.0  # seconds: nobody is to be flooded with codes


def invite(connection: Connection, token: str, jid: str, by: str, now: float, lasts: float) -> None:
    """Record an invitation for a bare JID, or for whoever has the token if `jid` is empty."""
    connection.execute(delete(invites).where(invites.c.expires_at < now))
    connection.execute(
        insert(invites).values(
            token=hash_key("invite", token), jid=jid, invited_by=by, created_at=now, expires_at=now + lasts
        )
    )


def redeem(connection: Connection, jid: str, token: str, now: float) -> bool:
    """Use an invitation up: one made for this JID, or the one with this token. Whoever has used one
    stays invited until it expires, since there is more than one transport to register with."""
    mine = (invites.c.jid == jid) | (invites.c.used_by == jid)
    if token:
        mine = mine | (
            (invites.c.token == hash_key("invite", token)) & (invites.c.jid == "") & (invites.c.used_by == "")
        )
    found = connection.execute(
        select(invites.c.id)
        .where(mine, invites.c.expires_at >= now)
        .order_by(invites.c.used_by.desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is None:
        return False
    connection.execute(update(invites).where(invites.c.id == found).values(used_by=jid))
    return True


def is_invited(connection: Connection, jid: str, now: float) -> bool:
    """Whether an invitation stands for this JID, without using it up."""
    mine = (invites.c.jid == jid) | (invites.c.used_by == jid)
    found = connection.execute(select(invites.c.id).where(mine, invites.c.expires_at >= now))
    return found.first() is not None


# --- proofs ---


def begin_proof(
    connection: Connection, user_id: int, transport: str, address: str, code: str, now: float
) -> bool:
    """Remember the code that goes to an address. False when the last one went too short a time ago."""
    own = (proofs.c.user_id == user_id, proofs.c.transport == transport)
    sent_at = connection.execute(select(proofs.c.sent_at).where(*own)).scalar_one_or_none()
    if sent_at is not None and now - sent_at < NEXT_CODE_AFTER:
        return False
    connection.execute(delete(proofs).where(*own))
    statement = insert_new(connection, proofs).values(
        user_id=user_id, transport=transport, address=address, code=_code(address, code), sent_at=now
    )
    connection.execute(statement)
    return True


def prove(connection: Connection, user_id: int, transport: str, code: str, now: float) -> str:
    """The address that this code proves, which ends the proof; empty if it proves none (any more)."""
    own = (proofs.c.user_id == user_id, proofs.c.transport == transport)
    row = connection.execute(select(proofs).where(*own)).one_or_none()
    if row is None or now - row.sent_at > CODE_LASTS or row.tries >= MOST_TRIES:
        return ""
    if row.code != _code(row.address, code):
        connection.execute(update(proofs).where(*own).values(tries=proofs.c.tries + 1))
        return ""
    connection.execute(delete(proofs).where(*own))
    return str(row.address)


def _code(address: str, code: str) -> str:
    return hash_key("proof", address, code)
