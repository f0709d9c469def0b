"""Users' own mailboxes at work: each is followed by itself, and sends through its own server.

One that is broken, slow or hostile costs its owner alone: connections, time, memory and attempts are
counted for each.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog

from adapters.email import headers, own_account
from adapters.email.account_sending import AccountSender
from adapters.email.catch_all import return_path
from adapters.email.filing import Copies, Copy
from adapters.email.imap_client import Client, CommandRefused, ImapTrouble, LoginRefused, connected
from adapters.email.imap_in import Folder, Watch
from adapters.email.imap_words import sent_folder
from adapters.email.own_account import OwnAccount, Places, Seal
from adapters.email.sourced import PLACE, SENT
from bridge.i18n import filled, tr
from bridge.kit import keep_trying
from bridge.model import Envelope
from bridge.ports import (
    Account,
    AccountState,
    BadAccount,
    CheckedAccount,
    Displayed,
    Inbox,
)

log = structlog.get_logger()

_ASK_AGAIN = 300.0  # seconds after which the record is asked for accounts, told or not
_REFUSED_PAUSE = 900.0  # seconds after a refused login: more would lock the account at its provider
_CHECKS = 4  # at a time
_CHECK_WITHIN = 50.0
_STAGGER = 0.05  # seconds between the first connections of accounts
_AWAY_FOR = 600.0  # seconds that a server may be away before its user hears of it
_DAY = 86400.0

_WRONG_PASSWORD = tr(
    "✗ Your mail account {address} does not open any more: the server refuses name or password. "
    "Mail waits there, and nothing is lost. Type account password to give the new one."
)
_AWAY = tr(
    "Your mail server {host} cannot be reached for some time now ({why}). Mail waits there, and nothing is "
    "lost. It will be tried again automatically."
)
_LOST_KEY = tr(
    "✗ The password of your mail account {address} cannot be read any more. Please bring it again."
)


class NoAccount(Exception):
    """The address has no account here (any more)."""


class AccountWatch:
    """Follows the inbox and the sent mails of one account."""

    def __init__(
        self,
        account: Account,
        own: OwnAccount,
        places: Places,
        inbox: Inbox,
        transport: str,
        clock: Callable[[], float],
        away_for: float = _AWAY_FOR,
    ) -> None:
        self.trouble = ""  # a sentence for the user; empty when all is well
        self._away_for = away_for
        self._away_since = 0.0  # 0: it is there
        self._account = account
        self._own = own
        self._places = places
        self._inbox = inbox
        self._transport = transport
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._without_sent = False  # there is no folder of sent mails, or it cannot be followed
        self._sent_made = asyncio.Event()
        self.copies = Copies(account.line_id, own.imap_login(places), self._sent_made.set)
        self._login_tell = f"login {account.line_id} {hashlib.sha256(account.sealed).hexdigest()}"

    async def run(self, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        await keep_trying(f"account {self._account.line_id}", self._attempt, longest_pause=_ASK_AGAIN)

    def mark_seen(self, place: str) -> None:
        """Flag the mail that lay there (`folder:validity:uid`), if that is a folder that is followed."""
        folder, validity, uid = _place(place)
        watch = self._watches.get(folder)
        if watch is not None:
            watch.mark_seen(validity, uid)

    @property
    def up_to_date(self) -> bool:
        """Whether everything that lay in the folders has been taken in."""
        there = "INBOX" in self._watches and all(one.up_to_date.is_set() for one in self._watches.values())
        return there and (len(self._watches) > 1 or self._without_sent)

    async def _attempt(self) -> None:
        """Both folders until one of them breaks. A refused login is told, and not tried again soon."""
        troubles: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_inbox())
                group.create_task(self._follow_sent())
        except* ImapTrouble as caught:
            troubles.extend(caught.exceptions)
        if any(isinstance(trouble, LoginRefused) for trouble in troubles):
            log.warning("an account does not open", account=self._account.line_id)
            self.trouble = filled(_WRONG_PASSWORD, address=self._account.address)
            await self._inbox.tell(self._account.jid, self.trouble, once=self._login_tell)
            await asyncio.sleep(_REFUSED_PAUSE)
        elif troubles:
            await self._tell_away(troubles[0])
            raise troubles[0]

    async def _tell_away(self, trouble: BaseException) -> None:
        """A server that is away for long is told once a day: a restart of it is nobody's business."""
        now = self._clock()
        self._away_since = self._away_since or now
        if now - self._away_since < self._away_for:
            return
        self.trouble = filled(_AWAY, host=self._own.imap.host, why=trouble)
        day = f"away {self._account.line_id} {int(self._away_since // _DAY)}"
        await self._inbox.tell(self._account.jid, self.trouble, once=day)

    async def _follow_inbox(self) -> None:
        async with connected(self._own.imap_login(self._places)) as client:
            self._away_since, self.trouble = 0.0, ""
            await self._watch("INBOX", sent=False).follow(client)

    async def _follow_sent(self) -> None:
        name = ""
        while not name:
            async with connected(self._own.imap_login(self._places)) as client:
                name = await self._sent_name(client)
                if name:
                    try:
                        await self._watch(name, sent=True).follow(client)
                    except CommandRefused:
                        log.info("sent mails cannot be followed", account=self._account.line_id)
                        self._without_sent = True
                        return
            self._without_sent = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_AGAIN):
                    await self._sent_made.wait()
            self._sent_made.clear()

    async def _sent_name(self, client: Client) -> str:
        try:
            return sent_folder(await client.folders())
        except CommandRefused:
            return ""

    def _watch(self, name: str, *, sent: bool) -> Watch:
        if name not in self._watches:
            # Another mailbox under the same address has other numbers: its place is its own.
            place = f"account/{self._account.line_id}/{self._own.mailbox}"
            cursor = f"{place}/{'sent' if sent else 'inbox'}"
            folder = Folder(
                name, cursor, partial(self._address, sent), read=None if sent else self._read_elsewhere
            )
            self._watches[name] = Watch(folder, self._inbox, self._clock)
        return self._watches[name]

    async def _read_elsewhere(self, read: Collection[str], unread: Collection[str]) -> None:
        await self._inbox.read_elsewhere(self._account.address, PLACE, read, unread)

    async def _address(self, sent: bool, raw: bytes, place: str) -> Envelope:
        return Envelope(
            transport=self._transport,
            sender=return_path(headers.read(raw)),
            recipients=(self._account.address,),
            received_at=self._clock(),
            headers={SENT: "yes"} if sent else {PLACE: place},
        )


def _place(text: str) -> tuple[str, int, int]:
    folder, validity, uid = text.rsplit(":", 2)
    return folder, int(validity), int(uid)


class Desk:
    """All accounts of one transport."""

    def __init__(self, transport: str, domains: Sequence[str], seal: Seal, places: Places, most: int) -> None:
        self._transport = transport
        self._domains = domains
        self._seal = seal
        self._places = places
        self._most = most
        self._changed = asyncio.Event()
        self._checks = asyncio.Semaphore(_CHECKS)
        self._comparing = asyncio.Lock()
        self._inbox: Inbox | None = None
        self._recorded: frozenset[str] = frozenset()  # addresses of all accounts that there are
        self._unreadable: frozenset[Account] = frozenset()  # their users have been told
        self._working: dict[Account, asyncio.Task[None]] = {}
        self._watches: dict[str, AccountWatch] = {}
        self._senders: dict[str, AccountSender] = {}

    def changed(self) -> None:
        self._changed.set()

    # --- as ports.Accounts says ---

    async def check(self, fields: Mapping[str, str]) -> CheckedAccount:
        address = own_account.address_in(fields, self._places, self._domains)
        try:
            async with asyncio.timeout(_CHECK_WITHIN), self._checks:
                provider = await self._places.guess(address.rpartition("@")[2])
                account = own_account.from_form(fields, self._places, self._domains, provider)
                await own_account.check(account, self._places, self._domains[0])
        except TimeoutError as error:
            raise BadAccount(tr("Your mail servers take too long to answer. Try again later.")) from error
        proven = own_account.is_proven(account, provider)
        return CheckedAccount(account.address, self._seal.close(account), proven)

    async def renew(self, sealed: bytes, password: str) -> CheckedAccount:
        try:
            account = self._seal.open(sealed).with_password(password)
        except own_account.Unreadable as error:
            raise BadAccount(
                tr("What is kept of your account cannot be read any more. Bring it again.")
            ) from error
        try:
            async with asyncio.timeout(_CHECK_WITHIN), self._checks:
                await own_account.check(account, self._places, self._domains[0])
        except TimeoutError as error:
            raise BadAccount(tr("Your mail servers take too long to answer. Try again later.")) from error
        return CheckedAccount(account.address, self._seal.close(account), proven=True)

    def state(self, sealed: bytes) -> AccountState:
        try:
            own = self._seal.open(sealed)
        except own_account.Unreadable:
            return AccountState("", "", reading="What is kept of it cannot be read any more. Bring it again.")
        watch, sender = self._watches.get(own.address), self._senders.get(own.address)
        return AccountState(
            own.imap.host,
            own.smtp.host,
            reading=watch.trouble if watch is not None else "",
            sending=sender.trouble if sender is not None else "",
            up_to_date=watch is not None and watch.up_to_date,
        )

    # --- for the adapter ---

    async def sender(self, address: str) -> AccountSender | None:
        """Through what the line with this address sends; None if it has an account that is not at hand.
        Raises NoAccount if it has none."""
        stale = self._changed.is_set() or self._comparing.locked()
        if self._inbox is not None and (stale or address not in self._senders):
            await self._compare(self._inbox)  # it may have been brought or mended a moment ago
        if address not in self._senders and address not in self._recorded:
            raise NoAccount
        return self._senders.get(address)

    def displayed(self, messages: Sequence[Displayed]) -> None:
        for one in messages:
            watch = self._watches.get(one.recipient)
            if watch is not None and PLACE in one.memo:
                watch.mark_seen(one.memo[PLACE])

    # --- at work ---

    @asynccontextmanager
    async def running(self, inbox: Inbox) -> AsyncIterator[None]:
        """Every account at work; leaving it ends them all."""
        self._inbox = inbox
        await self._compare(inbox)
        keeping = asyncio.create_task(self._keep(inbox), name=f"accounts of {self._transport}")
        try:
            yield
        finally:
            self._inbox = None
            tasks = [keeping, *self._working.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._working.clear()

    async def _keep(self, inbox: Inbox) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_AGAIN):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._compare(inbox)
            except Exception as error:  # the record is away: another time
                log.warning("accounts were not looked up", error=type(error).__name__)

    async def _compare(self, inbox: Inbox) -> None:
        """Begin what is new, end what is gone or has changed."""
        async with self._comparing:
            present = list(await inbox.accounts())
            if len(present) > self._most:
                log.warning("more accounts than [accounts].most", accounts=len(present), most=self._most)
            wanted = present[: self._most]
            gone = [self._working.pop(one) for one in list(self._working) if one not in wanted]
            for task in gone:
                task.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
            self._recorded = frozenset(one.address for one in present)
            self._unreadable &= frozenset(present)
            new = [one for one in wanted if one not in self._working and one not in self._unreadable]
            for number, account in enumerate(new):
                await self._begin(inbox, account, number * _STAGGER)

    async def _begin(self, inbox: Inbox, account: Account, delay: float) -> None:
        try:
            own = self._seal.open(account.sealed)
        except own_account.Unreadable:
            log.error("an account cannot be read: has the master key changed?", account=account.line_id)
            words = filled(_LOST_KEY, address=account.address)
            await inbox.tell(account.jid, words, once=f"key {account.line_id}")
            self._unreadable |= {account}
            return
        watch = AccountWatch(account, own, self._places, inbox, self._transport, time.time)
        sender = AccountSender(
            own.smarthost(self._domains[0]),
            self._places,
            time.monotonic,
            lambda mail: watch.copies.put(Copy(mail.message_id, mail.raw)),
        )
        self._watches[account.address], self._senders[account.address] = watch, sender
        self._working[account] = asyncio.create_task(
            self._work(account, watch, sender, delay), name=f"account {account.line_id}"
        )

    async def _work(self, account: Account, watch: AccountWatch, sender: AccountSender, delay: float) -> None:
        tidying = asyncio.create_task(sender.pool.tidy())
        keeping = asyncio.create_task(watch.copies.run())
        try:
            await watch.run(delay)
        finally:
            if self._senders.get(account.address) is sender:
                del self._senders[account.address], self._watches[account.address]
            tidying.cancel()
            keeping.cancel()
            await asyncio.gather(tidying, keeping, return_exceptions=True)
            await sender.pool.close()
