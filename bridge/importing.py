"""Brings address books in: counts what is in them, asks, then takes people over bite by bite and tells how
far it is. Where a user's book is and as whom it is read is kept encrypted.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from cryptography.fernet import Fernet, InvalidToken

from bridge import carddav, vcards
from bridge.carddav import Login, NotRead
from bridge.events import Denied, Transport
from bridge.fetching import NotFetched
from bridge.files import Filing
from bridge.i18n import Phrase, tr, translate
from bridge.model import Line
from bridge.ports import BadAddress
from bridge.store import books
from bridge.store.books import CutOff
from bridge.store.cards import Person
from bridge.store.engine import Store, StoreFailed
from bridge.vcards import Card
from bridge.wishes import Wishes

log = structlog.get_logger()

KEPT = 900.0  # seconds that a counted book waits for the user's word
_MOST_KEPT = 20  # counted books
_MOST_BYTES = 40_000_000  # of their pictures, all together
_FEWEST_DIGITS = 3  # in a number: some write words into that field
_AT_ONCE = 4  # imports at a time
_BITE = 50  # people in one transaction
TOLD_EVERY = 5.0  # seconds between two words about how far it is


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody in a book, with the one address on one transport."""

    person: Person
    photo: bytes


@dataclass(frozen=True, slots=True)
class Counted:
    """A book as it waits for the user's word."""

    cards: int
    with_mail: int
    with_numbers: int
    left_out: int  # beyond what is read
    entries: tuple[tuple[str, tuple[Entry, ...]], ...]  # by transport on which the user is registered
    until: float = 0.0
    source: str = ""  # where it was

    @property
    def people(self) -> int:
        return sum(len(entries) for _, entries in self.entries)

    @property
    def bytes(self) -> int:
        """What its pictures take, about: a picture may stand with several addresses."""
        return sum(len(one.photo) for _, entries in self.entries for one in entries)


class Importing:
    """One for the process; enter it to let it work, leaving it ends what is under way. `key`: 32 bytes."""

    def __init__(
        self,
        wishes: Wishes,
        store: Store,
        files: Filing,
        key: bytes,
        *,
        lookup: carddav.Lookup = carddav.look_up,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wishes = wishes
        self._store = store
        self._files = files
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._lookup = lookup
        self._clock = clock
        self._counted: dict[str, Counted] = {}  # by bare JID, oldest first
        self._working: dict[str, asyncio.Task[None]] = {}  # by bare JID

    async def __aenter__(self) -> "Importing":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._working.values()):
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    # --- counting ---

    async def count_file(self, line: Line, url: str) -> Counted:
        """Fetch a vCard file that the user shared, and count. Raises Denied."""
        self._must_be_idle(line.jid)
        try:
            data = await self._files.download(url, vcards.MOST_BYTES)
        except NotFetched as error:
            raise Denied(str(error)) from error
        return await self._count(line.jid, data, url)

    def read_book(self, line: Line, login: Login, language: str) -> None:
        """Read an address book elsewhere in the background; then ask the user. Raises Denied."""
        self._begin(line, language, self._read_book(line, login, language))

    async def known_book(self, line: Line) -> Login | None:
        """The address book that was read last."""
        sealed = await self._store.look(books.sealed_of, line.user_id)
        if sealed is None:
            return None
        try:
            return Login(**json.loads(self._seal.decrypt(sealed)))
        except (InvalidToken, ValueError, TypeError):
            return None  # the master key has changed: it must be given again

    async def forget_book(self, line: Line) -> None:
        await self._store.do(books.forget, line.user_id)

    async def _read_book(self, line: Line, login: Login, language: str) -> None:
        pace = _Pace(self._clock)

        async def told(done: int, of: int) -> None:
            if pace.is_due() and done < of:
                await self._tell(line, tr("Reading: {done} of {of}.", done=done, of=of), language)

        try:
            data = await carddav.read(login, self._files.allowed, told, lookup=self._lookup)
        except NotRead as error:
            await self._tell(line, error.args[0], language)
            return
        sealed = self._seal.encrypt(json.dumps(asdict(login)).encode())
        await self._store.do(books.keep, line.user_id, sealed, self._clock())
        try:
            counted = await self._count(line.jid, data, login.place)
        except Denied as denied:
            await self._tell(line, denied.text, language)
            return
        question = tr("Type: import yes, import all (they come into your contact list too) or import no.")
        text = f"{translate(told_of(counted), language)}\n{translate(question, language)}"
        await self._tell(line, text, language)

    async def _count(self, jid: str, data: bytes, source: str) -> Counted:
        book = await asyncio.to_thread(vcards.read, data)
        if not book.cards:
            raise Denied(tr("There is nobody in it with a mail address or a phone number."))
        mine = [
            name
            for name in self._wishes.gateway.transports
            if await self._wishes.gateway.line_of(name, jid) is not None
        ]
        entries = tuple((name, tuple(entries_of(self._wishes.transport(name), book.cards))) for name in mine)
        counted = Counted(
            len(book.cards),
            sum(bool(one.emails) for one in book.cards),
            sum(bool(one.phones) for one in book.cards),
            book.left_out,
            entries,
            self._clock() + KEPT,
            source,
        )
        self._counted.pop(jid, None)
        self._make_room(counted.bytes)
        self._counted[jid] = counted
        return counted

    def _make_room(self, needed: int) -> None:
        """What waits longest gives way: it can be counted again."""
        while self._counted and (
            len(self._counted) >= _MOST_KEPT
            or needed + sum(one.bytes for one in self._counted.values()) > _MOST_BYTES
        ):
            del self._counted[next(iter(self._counted))]

    def counted(self, jid: str) -> Counted | None:
        """The book that waits for this user's word."""
        found = self._counted.get(jid)
        if found is not None and found.until < self._clock():
            del self._counted[jid]
            return None
        return found

    def drop(self, jid: str) -> None:
        self._counted.pop(jid, None)

    # --- taking over ---

    def start(self, line: Line, language: str, *, everybody: bool) -> None:
        """Take over the counted book in the background; with `everybody` into the roster too. Raises
        Denied."""
        counted = self.counted(line.jid)
        if counted is None:
            raise Denied(tr("There is no address book to import. Share a .vcf file here first."))
        self._begin(line, language, self._take_over(line, counted, language, everybody))
        self.drop(line.jid)

    async def _take_over(self, line: Line, counted: Counted, language: str, everybody: bool) -> None:
        done, new, named, faces = 0, 0, 0, 0
        await self._store.do(books.note, line.user_id, line.transport, 0, counted.people)
        pace = _Pace(self._clock)
        for name, entries in counted.entries:
            own = await self._wishes.gateway.line_of(name, line.jid)
            for start in range(0, len(entries) if own is not None else 0, _BITE):
                assert own is not None
                bite = entries[start : start + _BITE]
                taken = await self._wishes.cards.take_over(
                    own, [one.person for one in bite], quietly=not everybody
                )
                worn = [
                    await self._wishes.cards.wear(one, entry.photo)
                    for one, entry in zip(taken, bite, strict=True)
                ]
                new += sum(one.is_new for one in taken)
                named += sum(one.renamed for one in taken)
                faces += sum(worn)
                done += len(bite)
                await self._store.do(books.note, line.user_id, line.transport, done, counted.people)
                await self._show(own, [one.local for one in taken], everybody=everybody)
                if pace.is_due() and done < counted.people:
                    told = tr("Importing: {done} of {of}.", done=done, of=counted.people)
                    await self._tell(line, told, language)
        text = tr(
            "Imported: {done} addresses, {new} of them new; {named} have another name now, {faces} a "
            "picture.",
            done=done,
            new=new,
            named=named,
            faces=faces,
        )
        await self._tell(line, text, language)

    async def _show(self, own: Line, locals_: Sequence[str], *, everybody: bool) -> None:
        """Who shows contacts hears of these."""
        if everybody:
            self._wishes.cards.introduce(own.transport, own.jid, locals_)
        shown = await self._wishes.gateway.contacts_of(own.transport, own.jid)
        mine = set(locals_)
        self._wishes.cards.tell(own.transport, own.jid, [one for one in shown if one.local in mine])

    # --- work in the background ---

    def _must_be_idle(self, jid: str) -> None:
        """Raises Denied."""
        if jid in self._working:
            raise Denied(tr("An import of yours is still under way."), "conflict", "wait")
        if len(self._working) >= _AT_ONCE:
            raise Denied(
                tr("Others are importing just now. Try again in a few minutes."),
                "resource-constraint",
                "wait",
            )

    def _begin(self, line: Line, language: str, work: Coroutine[Any, Any, None]) -> None:
        jid = line.jid
        try:
            self._must_be_idle(jid)
        except Denied:
            work.close()
            raise
        task = asyncio.create_task(self._bounded(line, language, work), name="import")
        self._working[jid] = task
        task.add_done_callback(lambda _: self._working.pop(jid, None))

    async def _bounded(self, line: Line, language: str, work: Coroutine[Any, Any, None]) -> None:
        """The user hears of the end, whichever it is; of one by a stop after the next start."""
        try:
            await self._store.do(books.note, line.user_id, line.transport, 0, 0)
            await work
            await self._store.do(books.ended, line.user_id)
        except Exception as error:  # nobody waits for it
            log.exception("an import broke", error=type(error).__name__)
            with suppress(StoreFailed):
                await self.tell_cut_off(line.user_id)
        finally:
            work.close()

    async def tell_cut_off(self, user_id: int | None = None) -> None:
        """Tell this user, at a start all, of an import that did not come to its end. Raises StoreFailed."""
        for owner, one in await self._store.look(books.cut_off):
            if user_id not in (None, owner):
                continue
            if one.transport in self._wishes.gateway.transports:
                told = translate(_told_of_cut_off(one), self._wishes.gateway.languages.of(one.jid))
                await self._wishes.gateway.inbox(one.transport).tell(one.jid, told)
            await self._store.do(books.ended, owner)

    async def _tell(self, line: Line, text: str, language: str) -> None:
        await self._wishes.gateway.inbox(line.transport).tell(line.jid, translate(text, language))


class _Pace:
    """Says now and then that it is time for a word."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = clock() + TOLD_EVERY

    def is_due(self) -> bool:
        if self._clock() < self._next:
            return False
        self._next = self._clock() + TOLD_EVERY
        return True


def entries_of(transport: Transport, cards: Sequence[Card]) -> list[Entry]:
    """Who of a book has an address on a transport; each address once. What is no address is left out."""
    found: dict[str, Entry] = {}
    phones = transport.adapter.capabilities.identity[1] == "sms"
    for card in cards:
        for text in card.phones if phones else card.emails:
            try:
                address = transport.adapter.canonical(text)
            except BadAddress as error:
                # A number as one dials it at home: the adapter knows which country that is.
                if not error.correct:
                    continue
                address = transport.adapter.canonical(error.correct)
            if "," in address.canonical:
                continue  # several addresses together are no person
            if phones and sum(one.isdigit() for one in address.canonical) < _FEWEST_DIGITS:
                continue
            found.setdefault(address.canonical, Entry(Person(address, card.name, card.note), card.photo))
    return list(found.values())


def _told_of_cut_off(one: CutOff) -> Phrase:
    if not one.people:
        return tr("Reading your address book was interrupted. Type import to begin again.")
    return tr(
        "The import was interrupted at {done} of {people}. Type import to go on; nobody is taken twice.",
        done=one.done,
        people=one.people,
    )


def told_of(counted: Counted) -> Phrase:
    """What is in a book, and what of it can be used."""
    if counted.left_out:
        return tr(
            "{cards} contacts: {mail} with mail, {numbers} with numbers. {left} more are too many to be "
            "read; {people} addresses can be imported here.",
            cards=counted.cards,
            mail=counted.with_mail,
            numbers=counted.with_numbers,
            left=counted.left_out,
            people=counted.people,
        )
    return tr(
        "{cards} contacts: {mail} with mail, {numbers} with numbers; {people} addresses can be imported "
        "here.",
        cards=counted.cards,
        mail=counted.with_mail,
        numbers=counted.with_numbers,
        people=counted.people,
    )
