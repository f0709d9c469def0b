"""The use cases about who a contact is: names, notes, pictures; whoever shows contacts hears of changes.

What a user says of a contact is theirs alone: it reaches their own clients, never a correspondent.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from bridge.events import Denied
from bridge.files import Filing
from bridge.gateway import Gateway
from bridge.model import Attachment, Contact, File, Incoming, Line
from bridge.portraits import MEDIA_TYPE, Portrait, portrait
from bridge.ports import FileUnavailable
from bridge.store import cards
from bridge.store.cards import FROM_IMPORT, FROM_MAIL, Found, Person, Photo, Profile, Taken
from bridge.store.engine import Store, StoreFailed

log = structlog.get_logger()

LONGEST_NAME = 200  # characters
LONGEST_NOTE = 2_000
_MOST_REMEMBERED = 200  # pictures: some 20 kB each

Changed = Callable[[str, Sequence[Contact]], None]
Introduced = Callable[[str, Sequence[str]], None]


class Cards:
    """One for the process. Without `files` there are no pictures."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        files: Filing | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # By transport: who shows contacts to a user (bare JID) hears which look different now.
        self.changed: dict[str, list[Changed]] = {}
        # By transport: these contacts wish to be in the user's roster.
        self.introduced: dict[str, list[Introduced]] = {}
        self._gateway = gateway
        self._store = store
        self._files = files
        self._clock = clock
        self._one_at_a_time = asyncio.Semaphore(1)  # a picture takes 50 MB while it is open
        self._remembered: dict[str, bytes] = {}  # by blob, oldest first

    # --- looking ---

    async def profile(self, transport: str, jid: str, address: str) -> Profile | None:
        """What a user knows of a canonical address."""
        return await self._store.look(cards.profile, transport, jid, address)

    async def search(
        self, transport: str, jid: str, *, name: str, address: str, start: int, most: int
    ) -> Found:
        """A user's own contacts by parts of name and address."""
        return await self._store.look(cards.search, transport, jid, name, address, start, most)

    async def called(self, transport: str, jid: str, local: str) -> str:
        """What a user's contact with this node is called; empty if it has no name but its address."""
        try:
            address = self._gateway.address_of(transport, local)
        except Denied:
            return ""
        known = await self.profile(transport, jid, address.canonical)
        return known.shown if known is not None else ""

    async def picture(self, photo: Photo) -> bytes:
        """The bytes of a contact's picture; empty if they cannot be read."""
        if (known := self._remembered.get(photo.blob)) is not None:
            return known
        if self._files is None:
            return b""
        try:
            data = await self._files.read(Attachment("photo.png", photo.media_type, photo.blob, photo.size))
        except FileUnavailable:
            return b""
        while len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[photo.blob] = data
        return data

    # --- the user's own words ---

    async def rename(self, line: Line, contact: Contact, name: str) -> None:
        """The user's own name for a contact; empty takes it back."""
        await self._store.do(cards.rename, contact.id, " ".join(name.split())[:LONGEST_NAME])
        await self._tell(line.transport, line.jid, contact.address)

    async def annotate(self, contact: Contact, note: str) -> None:
        await self._store.do(cards.annotate, contact.id, note.strip()[:LONGEST_NOTE])

    async def _tell(self, transport: str, jid: str, address: str) -> None:
        profile = await self.profile(transport, jid, address)
        if profile is not None:
            self.tell(transport, jid, [profile.contact])

    def tell(self, transport: str, jid: str, contacts: Sequence[Contact]) -> None:
        """These contacts look different now."""
        for told in self.changed.get(transport, ()):
            told(jid, contacts)

    def introduce(self, transport: str, jid: str, locals_: Sequence[str]) -> None:
        """The contacts with these nodes wish to be in the user's roster."""
        for told in self.introduced.get(transport, ()):
            told(jid, locals_)

    # --- pictures ---

    async def learn(self, incoming: Sequence[Incoming]) -> None:
        """What messages that have been recorded tell of their senders' looks. Best effort: a picture that
        is lost to a crash comes with the next mail."""
        for one in incoming:
            if one.face is None or one.own:
                continue
            try:
                await self._learn(one, one.face)
            except StoreFailed as error:
                log.warning("a picture was not kept", transport=one.transport, error=str(error)[:200])

    async def _learn(self, one: Incoming, face: File) -> None:
        found = await self._store.look(cards.wearers, one.transport, one.recipient, one.sender.canonical)
        wanting = [wearer for wearer in found if wearer.photo_from != FROM_IMPORT]
        if not wanting or (made := await self._portrait(face.data)) is None:
            return
        for wearer in wanting:
            if wearer.photo_hash != made.hash and await self._wear(wearer.contact.id, made, FROM_MAIL):
                await self._tell(one.transport, wearer.jid, wearer.contact.address)

    async def wear(self, taken: Taken, data: bytes) -> bool:
        """Give a contact the picture of an address book. False if it has that one, or it is none."""
        made = await self._portrait(data)
        if made is None or made.hash == taken.photo_hash:
            return False
        return await self._wear(taken.contact_id, made, FROM_IMPORT)

    async def portrayed(self, data: bytes) -> tuple[Attachment, str] | None:
        """A picture as it can be shown, on disk and not named in the record yet, and its hash; None if it
        is none."""
        made = await self._portrait(data)
        kept = await self._kept(made) if made is not None else None
        return (kept, made.hash) if made is not None and kept is not None else None

    async def _wear(self, contact_id: int, made: Portrait, source: str) -> bool:
        kept = await self._kept(made)
        if kept is None:
            return False
        await self._store.do(cards.wear, contact_id, kept, made.hash, source, self._clock())
        return True

    async def _kept(self, made: Portrait) -> Attachment | None:
        if self._files is None:
            return None
        try:
            return await self._files.put("photo.png", MEDIA_TYPE, made.data)
        except FileUnavailable:
            return None

    async def _portrait(self, data: bytes) -> Portrait | None:
        async with self._one_at_a_time:
            return await asyncio.to_thread(portrait, data)

    # --- address books ---

    async def take_over(self, line: Line, people: Sequence[Person], *, quietly: bool) -> list[Taken]:
        """Make a bite of people from an address book contacts, or complete those who are. `quietly`: who is
        new stays out of the roster until somebody writes."""
        change = (line.user_id, line.transport, people, quietly, self._clock())
        return await self._store.do(cards.take_over, *change)
