"""The address book that the settings name: its people are known to everybody, with name and picture.

Reads it again and again; what cannot be read now stays as it was. Nobody's contact list is touched, and
nothing is written at the book's server.
"""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from bridge import carddav, vcards
from bridge.carddav import Login, NotRead
from bridge.files import Filing
from bridge.i18n import translate
from bridge.importing import Entry as Person
from bridge.importing import entries_of
from bridge.model import Contact
from bridge.settings.sections import AddressBookSection
from bridge.store import directory
from bridge.store.directory import Entry, Key, Known
from bridge.store.engine import Store, StoreFailed
from bridge.wishes import Wishes

log = structlog.get_logger()

_BITE = 100  # people in one transaction
_LONGEST = 320  # characters of an address that is taken


class Directory:
    """One for the process. `login`: None if the settings name no book. `every`: seconds between readings."""

    def __init__(
        self,
        login: Login | None,
        every: float,
        wishes: Wishes,
        store: Store,
        files: Filing,
        *,
        clock: Callable[[], float] = time.time,
        lookup: carddav.Lookup = carddav.look_up,
    ) -> None:
        self.trouble = ""  # why the book could not be read, for the admin; empty if it could
        self._login = login
        self._every = every
        self._wishes = wishes
        self._store = store
        self._files = files
        self._clock = clock
        self._lookup = lookup
        self._digest = b""  # of the book as it was read last

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Read it now and then while this is entered. Without a book, who was in one is forgotten."""
        if self._login is None:
            await self._store.do(directory.clear)
            yield
            return
        task = asyncio.create_task(self._keep(), name="address book")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                await self.refresh()
            except StoreFailed as error:
                log.warning("the address book was not kept", error=str(error)[:200])
            except Exception as error:  # a bug here must not end all readings to come
                log.exception("reading the address book broke", error=type(error).__name__)
            await asyncio.sleep(self._every)

    async def refresh(self) -> None:
        """Read the book, and take over what has changed there. Raises StoreFailed."""
        if self._login is None:
            return
        try:
            data = await carddav.read(self._login, self._files.allowed, _say_nothing, lookup=self._lookup)
        except NotRead as error:
            self.trouble = translate(error.args[0], "en")
            log.warning("the address book cannot be read", error=self.trouble, remedy="see [address_book]")
            return
        digest = hashlib.sha256(data).digest()
        if digest != self._digest:
            await self._take_over(data)
            self._digest = digest
        self.trouble = ""

    async def _take_over(self, data: bytes) -> None:
        book = await asyncio.to_thread(vcards.read, data)
        people = self._people(book.cards)
        before = await self._store.look(directory.everybody)
        changed = [key for key, (known, _) in people.items() if before.get(key) != known]
        for start in range(0, len(changed), _BITE):
            keys = changed[start : start + _BITE]
            bite = [await self._entry(key, *people[key], before.get(key)) for key in keys]
            await self._store.do(directory.put, bite, self._clock())
        gone = [key for key in before if key not in people]
        for start in range(0, len(gone), _BITE):
            await self._store.do(directory.drop, gone[start : start + _BITE])
        log.info("the address book was read", people=len(people), changed=len(changed), gone=len(gone))
        await self._tell([*changed, *gone])

    def _people(self, cards: Sequence[vcards.Card]) -> dict[Key, tuple[Known, bytes]]:
        found = {}
        for name, transport in self._wishes.gateway.transports.items():
            for one in entries_of(transport, cards):
                address = one.person.address
                if len(address.canonical) <= _LONGEST:
                    found[name, address.canonical] = (_known(one), one.photo)
        return found

    async def _entry(self, key: Key, known: Known, photo: bytes, before: Known | None) -> Entry:
        worn = None
        if known.source and (before is None or before.source != known.source):
            worn = await self._wishes.cards.portrayed(photo)
        return Entry(*key, known, *(worn or ()))

    async def _tell(self, keys: Sequence[Key]) -> None:
        """Who has these among their contacts sees it."""
        seen: dict[tuple[str, str], list[Contact]] = defaultdict(list)
        for start in range(0, len(keys), _BITE):
            for jid, contact in await self._store.look(directory.whose, keys[start : start + _BITE]):
                seen[contact.transport, jid].append(contact)
        for (transport, jid), contacts in seen.items():
            shown = {one.id: one for one in await self._wishes.gateway.contacts_of(transport, jid)}
            self._wishes.cards.tell(transport, jid, [shown.get(one.id, one) for one in contacts])


def directory_of(book: AddressBookSection, wishes: Wishes, store: Store, files: Filing) -> Directory:
    """As the settings have it."""
    password = book.password.get_secret_value() if book.password is not None else ""
    login = Login(book.url, book.username, password) if book.url else None
    return Directory(login, book.refresh_minutes * 60.0, wishes, store, files)


def _known(one: Person) -> Known:
    address = one.person.address
    source = hashlib.sha1(one.photo, usedforsecurity=False).hexdigest() if one.photo else ""
    return Known(address.original[:_LONGEST], one.person.name[:256], source)


async def _say_nothing(done: int, of: int) -> None:
    """Nobody waits for it."""
