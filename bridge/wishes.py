"""The use cases behind users' commands: what they ask about, set for themselves, and decide.

Says nothing and shows nothing: the commands put it into words, the front ends into stanzas.
"""

import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection

from bridge import readable
from bridge.addressing import to_local
from bridge.cards import Cards
from bridge.chats import Chats
from bridge.events import Denied, Transport, Written
from bridge.files import Filing
from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.model import Attachment, Contact, Line
from bridge.numbers import Numbers
from bridge.options import PAUSED, PROOF, STRANGERS
from bridge.policy import ALLOWED, BLOCKED
from bridge.ports import BadAddress, CheckedAccount, FileUnavailable
from bridge.store import accounts, blobs, desk, invites, people, strangers
from bridge.store.conversations import ensure_contact
from bridge.store.desk import Belongings, Hit, Known, LastMail, OldFile, Told
from bridge.store.drafts import Ground
from bridge.store.engine import Store
from bridge.store.rows import Lane
from bridge.store.strangers import Stranger

MOST_HITS = 10
MOST_FILES = 20


class Wishes:
    """One for the process. Whoever is meant by (transport, jid) must be registered there, unless said."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        files: Filing | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.gateway = gateway
        self.numbers = Numbers(gateway, store, clock)
        self.cards = Cards(gateway, store, files, clock=clock)
        self.chats = Chats(gateway, store, clock)
        self._files = files
        self._store = store
        self._clock = clock

    def transport(self, name: str) -> Transport:
        return self.gateway.transports[name]

    # --- the user ---

    async def spoke(self, jid: str, language: str, *, registered: bool) -> None:
        """The user typed a command in this language: it stays, unless they have chosen one."""
        if not registered:
            self.gateway.languages.heard(jid, language)
        elif not await self._store.look(desk.chosen_language, jid):
            await self._store.do(desk.spoke, jid, language)
            self.gateway.languages.learn(jid, language)

    async def choose_language(self, jid: str, language: str) -> None:
        await self._store.do(desk.choose_language, jid, language)
        self.gateway.languages.learn(jid, language)

    async def chosen_language(self, jid: str) -> str:
        return await self._store.look(desk.chosen_language, jid)

    async def choose(self, transport: str, jid: str, key: str, value: str) -> None:
        """Set one of the user's choices (bridge.options); empty is the default again."""
        ground = self.gateway.grounds[transport]
        self.gateway.ring(await self._store.do(_choose, transport, jid, key, value, ground, self._clock()))

    async def belongings(self, line: Line) -> Belongings:
        return await self._store.look(desk.belongings, line.transport, line.user_id)

    # --- contacts ---

    async def contacts(self, transport: str, jid: str) -> list[Known]:
        """All of them, also those whose presence the user does not see."""
        return await self._store.look(desk.known, transport, jid)

    async def contact(self, transport: str, jid: str, address: str) -> Known | None:
        """The one with this canonical address."""
        found = await self._store.look(desk.known, transport, jid, address)
        return found[0] if found else None

    async def add(self, transport: str, jid: str, address: str, name: str = "") -> Contact:
        """Make or find a contact and let it in. Raises Denied."""
        contact = await self.gateway.add_contact(transport, jid, to_local(address))
        if name:
            await self._store.do(desk.rename, contact.id, name)
        return contact

    # --- strangers ---

    async def strangers(self, line: Line) -> list[Stranger]:
        return await self._store.look(strangers.pending, line.user_id, line.transport)

    async def decide(self, line: Line, contact_ids: Sequence[int], *, accept: bool) -> None:
        """Let senders in, with what they have written already; or block them, and drop it."""
        standing = ALLOWED if accept else BLOCKED
        change = (line.transport, line.jid, contact_ids, standing, self._ground(line), self._clock())
        self.gateway.ring(await self._store.do(_decide, *change))

    async def block(self, line: Line, address: str, *, blocked: bool) -> None:
        """Block or unblock a canonical address, known or not. Raises Denied."""
        local = to_local(address)
        wanted = self.gateway.address_of(line.transport, local)
        standing = BLOCKED if blocked else ""
        contact_id = await self._store.do(
            ensure_contact, line.user_id, line.transport, wanted, local, self._clock()
        )
        change = (line.transport, line.jid, [contact_id], standing, self._ground(line), self._clock())
        # To block a chat of several people is no word about any of them.
        self.gateway.ring(await self._store.do(_decide, *change, among=False))

    def _ground(self, line: Line) -> Ground:
        return self.gateway.grounds[line.transport]

    # --- messages ---

    async def find(self, transport: str, jid: str, word: str, address: str = "") -> list[Hit]:
        """Messages that contain a word, of one chat or of all, newest first, one more than MOST_HITS at
        most."""
        return await self._store.look(desk.find, transport, jid, word, MOST_HITS + 1, address)

    async def last_to(self, transport: str, jid: str, address: str = "", stanza_id: str = "") -> Told | None:
        return await self._store.look(desk.last_to, transport, jid, address, stanza_id)

    async def last_from(self, transport: str, jid: str, address: str, stanza_id: str = "") -> LastMail | None:
        return await self._store.look(desk.last_from, transport, jid, address, stanza_id)

    @property
    def gives_files(self) -> bool:
        """Whether files can be given again here."""
        return self._files is not None

    async def files(self, transport: str, jid: str, address: str = "") -> list[OldFile]:
        """The user's files, newest first: MOST_FILES at most."""
        return await self._store.look(desk.files_of, transport, jid, address, MOST_FILES)

    async def original(self, message_id: int) -> Attachment | None:
        """The whole of a message that was shown shortened, if it was kept."""
        return await self._store.look(blobs.original, message_id, self._clock())

    async def at_hand(self, attachment: Attachment) -> Attachment:
        """A file to be given again, on disk. Raises Denied."""
        if self._files is None:
            raise Denied(tr("Files cannot be given again here."), "not-allowed", "cancel")
        try:
            # Where it was put before, it may have been forgotten.
            return replace(await self._files.at_hand(attachment), url="")
        except FileUnavailable as error:
            raise Denied(str(error), "item-not-found", "cancel") from error

    async def as_text(self, transport: str, file: Attachment) -> tuple[list[str], bool]:
        """A file as text in pieces, and whether these are all of it; none for what cannot be."""
        if self._files is None:
            return [], False
        try:
            return await readable.pieces(self._files, self.transport(transport).adapter, file)
        except FileUnavailable:
            return [], False

    async def write(self, transport: str, written: Written) -> None:
        """Record a message that a command asked for. Raises Denied."""
        (verdict,) = await self.gateway.carry_out(transport, [written])
        if verdict is not None:
            raise verdict

    # --- proofs ---

    async def ask_proof(self, line: Line, address: str) -> str:
        """Send a code to an address that the user says is theirs. Answers the address. Raises Denied."""
        wanted = await self._provable(line, address)
        await self.send_code(line, wanted)
        return wanted

    async def send_code(self, line: Line, wanted: str, account: CheckedAccount | None = None) -> None:
        """Send a code to this canonical address; its account waits for it, if there is one. Raises Denied."""
        code = f"{secrets.randbelow(1_000_000):06d}"
        now = self._clock()
        begun = (
            await self._store.do(accounts.begin_proof, line, account, code, now)
            if account is not None
            else await self._store.do(invites.begin_proof, line.user_id, line.transport, wanted, code, now)
        )
        if not begun:
            raise Denied(tr("A code went out a moment ago. Wait a minute before you ask for another."))
        text = tr(
            "{code} is the code for {jid} on {gateway}. If you did not ask for it, do nothing.",
            code=code,
            jid=line.jid,
            gateway=self.transport(line.transport).jid,
        )
        await self.write(
            line.transport,
            Written(
                from_bare=line.jid,
                from_full=line.jid,
                local=to_local(wanted),
                stanza_id=str(uuid.uuid4()),
                body=translate(text, line.language),
                options={PROOF: "1"},
            ),
        )
        with suppress(Denied):  # nobody waits for a code until a window closes
            await self.gateway.send_now(line.transport, line.jid, to_local(wanted))

    async def _provable(self, line: Line, address: str) -> str:
        transport = self.transport(line.transport)
        if not transport.proven_addresses:
            told = tr("One cannot bring an address of one's own here; yours is {own}.", own=line.address)
            raise Denied(told)
        try:
            wanted = transport.adapter.canonical(address).canonical
        except BadAddress as error:
            raise Denied(str(error)) from error
        owner = await self._store.look(people.line_with_address, line.transport, wanted)
        if owner is not None:
            raise Denied(tr("{address} is in use here already.", address=wanted), "conflict", "cancel")
        return wanted

    async def prove(self, line: Line, code: str) -> Line:
        """The code that came to the address: it is the user's own from now on. Raises Denied."""
        digits = "".join(code.split())
        try:
            proven, is_account = await self._store.do(accounts.prove, line, digits, self._clock())
        except people.AddressTaken as error:
            raise Denied(tr("Somebody else here uses this address already."), "conflict", "cancel") from error
        if proven is None:
            raise Denied(tr("This is not the code that went out last, or it is too old. Ask for a new one."))
        self.gateway.forget_lines()
        if is_account:
            self.gateway.sources.accounts_changed(line.transport)
        return proven


def _choose(
    connection: Connection, transport: str, jid: str, key: str, value: str, ground: Ground, now: float
) -> list[Lane]:
    desk.choose(connection, transport, jid, key, value)
    return _reconsider(connection, transport, jid, ground, now) if key in (STRANGERS, PAUSED) else []


def _decide(
    connection: Connection,
    transport: str,
    jid: str,
    contact_ids: Sequence[int],
    standing: str,
    ground: Ground,
    now: float,
    *,
    among: bool = True,
) -> list[Lane]:
    """`among`: in chats of several, those who wrote there stand so too."""
    strangers.stand(connection, contact_ids, standing)
    if among:
        strangers.stand_writers(connection, contact_ids, standing, now)
    return _reconsider(connection, transport, jid, ground, now)


def _reconsider(connection: Connection, transport: str, jid: str, ground: Ground, now: float) -> list[Lane]:
    owner = strangers.owner(connection, jid, transport, ground.jid, ground.strangers)
    return strangers.reconsider(connection, owner, now) if owner is not None else []
