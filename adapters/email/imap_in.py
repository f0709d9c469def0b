"""Follows one folder of a mailbox: takes in what is new, in order, and remembers how far it has come.

The place (UIDVALIDITY and last UID) is recorded in the same transaction as the mails, so that after any
crash nothing is missing and nothing comes twice. Knows neither whose mailbox it is nor how it is reached.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from adapters.email import imap_words
from adapters.email.imap_client import MOST_UIDS, Client, CommandRefused
from bridge.model import Envelope
from bridge.ports import Inbox

log = structlog.get_logger()

LOOK_AGAIN = 300.0  # seconds in IDLE; servers drop news now and then, and firewalls whole connections
_BATCH_BYTES = 8 << 20
_MOST_SIZES = 1_000  # UIDs whose sizes are asked for at a time
_LOOK_BACK = 2  # days, when a folder has been numbered anew
_MOST_MARKS = 1_000
_MOST_UNREAD = 500
_UNREAD_SINCE = 14  # days

_HEAD_FIELDS = (
    "HEADER.FIELDS (FROM SENDER TO CC DATE SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES"
    " DELIVERED-TO X-ORIGINAL-TO ENVELOPE-TO RETURN-PATH)"
)

# A mail and where it lay (`folder:validity:uid`) → how it reached us; None: it is for nobody here.
Address = Callable[[bytes, str], Awaitable[Envelope | None]]


# Where mails lay (`folder:validity:uid`) that have been read elsewhere, and those that have not.
Read = Callable[[Collection[str], Collection[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a folder has been read."""

    validity: int
    uid: int

    @classmethod
    def read(cls, text: str) -> "Place | None":
        validity, _, uid = text.partition(":")
        return cls(int(validity), int(uid)) if validity.isdigit() and uid.isdigit() else None

    def __str__(self) -> str:
        return f"{self.validity}:{self.uid}"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to be followed, and what is done with its mails."""

    name: str
    cursor: str  # under which name its place is recorded
    address: Address
    read: "Read | None" = None  # told what has been read in another program
    mark_taken: bool = False  # flag \\Seen what has been taken in
    most_bytes: int = 25_000_000  # of one mail; of a larger one its head comes


class Watch:
    """One folder, through any number of connections."""

    def __init__(self, folder: Folder, inbox: Inbox, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._inbox = inbox
        self._clock = clock
        self._woken = asyncio.Event()
        self._unread: set[int] = set()  # UIDs that were not read when we looked last
        self._marks: dict[int, set[int]] = {}  # UIDs to be flagged \\Seen, by validity
        self.up_to_date = asyncio.Event()  # everything that was there has been taken in; cleared by trouble

    def mark_seen(self, validity: int, uid: int) -> None:
        """The user has read this mail: flag it at the next opportunity, which is soon."""
        marks = self._marks.setdefault(validity, set())
        if len(marks) < _MOST_MARKS:
            marks.add(uid)
        self._woken.set()

    async def follow(self, client: Client) -> None:
        """Take in what is new, for ever. Raises ImapTrouble when the connection is of no more use."""
        try:
            place = await self._begin(client)
            while True:
                place = await self._catch_up(client, place)
                await self._write_marks(client, place.validity)
                await self._look_for_read(client, place.validity)
                self.up_to_date.set()
                await client.idle(LOOK_AGAIN, self._woken)
                self._woken.clear()
        finally:
            self.up_to_date.clear()

    async def _look_for_read(self, client: Client, validity: int) -> None:
        """Tell what the user has read since we looked last, in another program or in chat, which is known."""
        if self._folder.read is None:
            return
        before = self._unread
        still = set(await client.search("UNSEEN", "UID", imap_words.uid_set(before))) if before else set()
        since = imap_words.day_before(self._clock(), _UNREAD_SINCE)
        recent = await client.search("UNSEEN", "SINCE", since)
        self._unread = set(recent[-_MOST_UNREAD:])
        if before - still:
            unread = self._places(validity, still | self._unread)
            await self._folder.read(self._places(validity, before - still), unread)

    def _places(self, validity: int, uids: Iterable[int]) -> list[str]:
        return [f"{self._folder.name}:{validity}:{uid}" for uid in uids]

    async def _begin(self, client: Client) -> Place:
        """Open the folder and find the place to go on from."""
        selected = await client.select(self._folder.name)
        place = Place.read(await self._inbox.cursor(self._folder.cursor))
        if place is not None and place.validity == selected.validity:
            return place
        self._unread.clear()
        next_uid = selected.next_uid
        if next_uid is None:  # RFC 3501 lets old servers leave it out
            next_uid = max(await client.search("UID", "*"), default=0) + 1
        newest = Place(selected.validity, next_uid - 1)
        if place is not None:
            # The numbers mean other mails now. What is known already the record drops by itself.
            log.info("a folder has been numbered anew", folder=self._folder.cursor)
            recent = await client.search("SINCE", imap_words.day_before(self._clock(), _LOOK_BACK))
            await self._take_all(client, recent, selected.validity, moving=False)
            newest = Place(selected.validity, max([newest.uid, *recent]))
        # Only now: after a crash in the middle the look back begins again.
        await self._inbox.take_in_all((), (self._folder.cursor, str(newest)))
        return newest

    async def _catch_up(self, client: Client, place: Place) -> Place:
        """Look and take in until there is nothing new."""
        while True:
            await client.noop()  # some servers tell a search of new mails only after it
            # `n:*` is never empty: it answers the last mail even below n.
            found = [uid for uid in await client.search("UID", f"{place.uid + 1}:*") if uid > place.uid]
            if not found:
                return place
            await self._take_all(client, found, place.validity, moving=True)
            place = Place(place.validity, found[-1])

    async def _take_all(self, client: Client, uids: Sequence[int], validity: int, *, moving: bool) -> None:
        """Take in these mails, batch by batch: one is recorded while the next is fetched. `moving` records
        with each how far we have come."""
        recording: asyncio.Task[None] | None = None
        try:
            for start in range(0, len(uids), _MOST_SIZES):
                some = uids[start : start + _MOST_SIZES]
                sizes = await client.sizes(some)
                for batch in batches(some, sizes, self._folder.most_bytes):
                    mails = await self._fetch(client, batch, sizes)
                    if recording is not None:
                        await recording
                        recording = None
                        await self._mark_taken(client)
                    place = Place(validity, batch[-1]) if moving else None
                    recording = asyncio.create_task(self._record(mails, validity, place))
            if recording is not None:
                await recording
                await self._mark_taken(client)
        finally:
            if recording is not None and not recording.done():
                recording.cancel()
                await asyncio.gather(recording, return_exceptions=True)

    async def _record(self, mails: Mapping[int, bytes], validity: int, place: Place | None) -> None:
        items = []
        taken = []
        for uid, raw in sorted(mails.items()):
            envelope = await self._folder.address(raw, f"{self._folder.name}:{validity}:{uid}")
            if envelope is not None:
                items.append((raw, envelope))
                taken.append(uid)
        cursor = (self._folder.cursor, str(place)) if place is not None else None
        if items or cursor:
            await self._inbox.take_in_all(items, cursor)
        if self._folder.mark_taken:
            self._marks.setdefault(validity, set()).update(taken)

    async def _mark_taken(self, client: Client) -> None:
        if self._folder.mark_taken:
            for validity in list(self._marks):
                await self._write_marks(client, validity)

    async def _write_marks(self, client: Client, validity: int) -> None:
        for old in [one for one in self._marks if one != validity]:
            del self._marks[old]  # those numbers mean other mails now
        uids = self._marks.pop(validity, None)
        if uids:
            try:
                await client.mark_seen(sorted(uids))
            except CommandRefused:
                log.info("mails cannot be marked as read here", folder=self._folder.cursor)

    async def _fetch(
        self, client: Client, batch: Sequence[int], sizes: Mapping[int, int]
    ) -> dict[int, bytes]:
        total = sum(sizes.get(uid, 0) for uid in batch)
        if len(batch) == 1 and total > self._folder.most_bytes:
            return await self._fetch_head(client, batch[0], total)
        try:
            return await client.fetch(batch, total)
        except CommandRefused:
            if len(batch) == 1:
                # Broken on the server's disk; it stays there, and must not stop the others.
                log.warning("a mail cannot be fetched and is passed over", folder=self._folder.cursor)
                return {}
        mails: dict[int, bytes] = {}
        for uid in batch:
            mails |= await self._fetch(client, [uid], sizes)
        return mails

    async def _fetch_head(self, client: Client, uid: int, size: int) -> dict[int, bytes]:
        """Of a mail that is too large: who wrote what when, and where to find the rest."""
        heads = await client.fetch([uid], 100_000, _HEAD_FIELDS)
        notice = f"(This mail is too large for chat: {size / 1e6:.0f} MB. It is in the mailbox.)\r\n"
        return {uid: head.rstrip() + b"\r\n\r\n" + notice.encode() for uid, head in heads.items()}


def batches(uids: Iterable[int], sizes: Mapping[int, int], most_bytes: int) -> Iterator[list[int]]:
    """UIDs in order, few enough and small enough for one fetch each; a mail over the limit comes alone."""
    batch: list[int] = []
    held = 0
    for uid in uids:
        size = sizes.get(uid, 0)
        alone = size > most_bytes
        if batch and (len(batch) >= MOST_UIDS or held + size > _BATCH_BYTES or alone):
            yield batch
            batch, held = [], 0
        batch.append(uid)
        held += size
        if alone:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
