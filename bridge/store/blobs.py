"""Files: their bytes on disk, and the rows that say what they are and whose. No row without its file.

A blob is written, synced and renamed before the transaction that names it; a crash in between leaves a
file that nobody names, which `Blobs.older_than` finds later.
"""

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, text, update

from bridge.model import Attachment
from bridge.store.tables import OPEN, attachments, blobs, cards, deliveries, directory, messages

_TOKEN_BYTES = 24  # 192 bits
TOKEN_LENGTH = 2 * _TOKEN_BYTES
_DRAFT = ".part"


class Blobs:
    """The folder data_dir/blobs: TOKEN lies in the folder of its first two letters. All of it blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, token: str) -> Path:
        return self._folder / token[:2] / token

    def write(self, data: bytes) -> str:
        """Put bytes on disk for good; answers their token. Raises OSError."""
        token = secrets.token_hex(_TOKEN_BYTES)
        path = self.path(token)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self._folder)
        draft = path.with_name(token + _DRAFT)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return token

    def read(self, token: str) -> bytes:
        """Raises FileNotFoundError, or another OSError."""
        return self.path(token).read_bytes()

    def remove(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            self.path(token).unlink(missing_ok=True)

    def folders(self) -> list[Path]:
        """Where files lie."""
        return [one for one in self._folder.iterdir() if one.is_dir()] if self._folder.is_dir() else []

    def older_than(self, at: float, folder: Path) -> list[str]:
        """The tokens of files there that were written before `at`. What was never finished is removed
        on the way."""
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime >= at:
                    continue
                if entry.name.endswith(_DRAFT):
                    os.unlink(entry.path)
                else:
                    found.append(entry.name)
        return found


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- transactions ---


def name(connection: Connection, kept: Sequence[Attachment], now: float, expires_at: float) -> None:
    """Record blobs that are on disk."""
    connection.execute(
        insert(blobs),
        [
            {
                "token": one.blob,
                "name": one.name,
                "media_type": one.media_type,
                "size": one.size,
                "created_at": now,
                "expires_at": expires_at,
            }
            for one in kept
        ],
    )


def keep_originals(connection: Connection, of_messages: Sequence[tuple[int, Attachment | None]]) -> None:
    """Record the raw inputs of messages that do not show all of it."""
    rows = [_row(message_id, 0, one) for message_id, one in of_messages if one is not None]
    if rows:
        connection.execute(insert(attachments), rows)


def original(connection: Connection, message_id: int, now: float) -> Attachment | None:
    """The raw input of a message, if it was kept and has not expired."""
    token = connection.execute(
        select(attachments.c.blob).where(attachments.c.message_id == message_id, attachments.c.position == 0)
    ).scalar_one_or_none()
    return find(connection, token, now) if token else None


def attach(connection: Connection, of_messages: Sequence[tuple[int, Sequence[Attachment]]]) -> None:
    """Record which attachments messages have, in order."""
    rows = [
        _row(message_id, position, one)
        for message_id, files in of_messages
        for position, one in enumerate(files, 1)
    ]
    if rows:
        connection.execute(insert(attachments), rows)


def _row(message_id: int, position: int, one: Attachment) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "position": position,
        "blob": one.blob or None,
        "name": one.name,
        "media_type": one.media_type,
        "size": one.size,
        "source": one.source,
    }


# Several lines of chat may go as one: what their writer shared goes with the one that carries them.
_OF_MESSAGES = (
    select(attachments, blobs.c.url, func.coalesce(messages.c.envelope_id, messages.c.id).label("carrier"))
    .join(messages, messages.c.id == attachments.c.message_id)
    .outerjoin(blobs, blobs.c.token == attachments.c.blob)
    .where(
        or_(
            messages.c.id.in_(bindparam("ids", expanding=True)),
            messages.c.envelope_id.in_(bindparam("ids", expanding=True)),
        ),
        attachments.c.position > 0,
    )
    .order_by(attachments.c.message_id, attachments.c.position)
)


def of_messages(connection: Connection, ids: Sequence[int]) -> Mapping[int, tuple[Attachment, ...]]:
    """The attachments that the deliveries of these messages carry, in order."""
    found: dict[int, list[Attachment]] = {}
    for row in connection.execute(_OF_MESSAGES, {"ids": list(ids)}):
        one = Attachment(
            row.name, row.media_type, row.blob or "", row.size, row.source, row.url or "", row.id
        )
        found.setdefault(row.carrier, []).append(one)
    return {id_: tuple(files) for id_, files in found.items()}


def attached(connection: Connection, attachment_id: int) -> Attachment | None:
    """One attachment as it stands now."""
    row = connection.execute(select(attachments).where(attachments.c.id == attachment_id)).one_or_none()
    if row is None:
        return None
    return Attachment(row.name, row.media_type, row.blob or "", row.size, row.source, id=row.id)


def find(connection: Connection, token: str, now: float) -> Attachment | None:
    """The blob of this token, unless it has expired."""
    row: Any = connection.execute(
        select(blobs).where(blobs.c.token == token, blobs.c.expires_at > now)
    ).one_or_none()
    return None if row is None else Attachment(row.name, row.media_type, row.token, row.size, url=row.url)


def placed(connection: Connection, token: str, url: str) -> None:
    """A blob has been uploaded: this is where it can be had from now on."""
    connection.execute(update(blobs).where(blobs.c.token == token).values(url=url))


def fetched(
    connection: Connection, attachment_id: int, kept: Attachment, now: float, expires_at: float
) -> None:
    """What a user had shared is here now."""
    name(connection, [kept], now, expires_at)
    connection.execute(
        update(attachments)
        .where(attachments.c.id == attachment_id)
        .values(blob=kept.blob, name=kept.name, media_type=kept.media_type, size=kept.size)
    )


def lend(connection: Connection, token: str, now: float, until: float) -> bool:
    """Keep a blob at least until then. False if it is not there any more."""
    row = connection.execute(
        select(blobs.c.expires_at).where(blobs.c.token == token, blobs.c.expires_at > now)
    ).one_or_none()
    if row is None:
        return False
    if row.expires_at < until:
        connection.execute(update(blobs).where(blobs.c.token == token).values(expires_at=until))
    return True


def forget(connection: Connection, now: float, orphaned_before: float, most: int) -> list[str]:
    """Remove the rows of a bite of blobs that are over their time, unless somebody still waits for
    them, and of those that belong to no message. Answers their tokens: the files can go."""
    awaited = exists().where(
        attachments.c.blob == blobs.c.token,
        deliveries.c.message_id == attachments.c.message_id,
        text(f"deliveries.{OPEN}"),
    )
    belongs = exists().where(attachments.c.blob == blobs.c.token)
    # A contact's picture stays as long as the contact, and one of everybody's address book.
    worn = exists().where(cards.c.photo == blobs.c.token)
    listed = exists().where(directory.c.photo == blobs.c.token)
    over = (
        select(blobs.c.token)
        .where(
            or_((blobs.c.expires_at <= now) & ~awaited, (blobs.c.created_at < orphaned_before) & ~belongs),
            ~worn,
            ~listed,
        )
        .limit(most)
    )
    removed = delete(blobs).where(blobs.c.token.in_(over.scalar_subquery())).returning(blobs.c.token)
    return list(connection.execute(removed).scalars())


def known(connection: Connection, tokens: Sequence[str]) -> set[str]:
    """Those of these tokens that have a row."""
    if not tokens:
        return set()
    rows = connection.execute(
        select(blobs.c.token).where(blobs.c.token.in_(bindparam("tokens", expanding=True))),
        {"tokens": list(tokens)},
    )
    return set(rows.scalars())
