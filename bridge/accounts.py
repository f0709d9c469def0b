"""Mail accounts of the users' own: brought, proven, renewed, taken away.

A login alone proves an address only where the settings trust its server; everywhere else a code goes to
it. Passwords are handed to the adapter, which seals them, and are kept nowhere here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.events import Denied
from bridge.gateway import Gateway
from bridge.i18n import tr
from bridge.model import Line
from bridge.ports import Account, AccountField, Accounts, AccountState, BadAccount
from bridge.store import accounts, people
from bridge.store.engine import Store
from bridge.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Brought:
    """An account that works. It counts at once, or when the code that went to its address comes back."""

    address: str
    line: Line | None  # None: a code is on its way


class OwnAccounts:
    """One for the process."""

    def __init__(
        self, gateway: Gateway, wishes: Wishes, store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._gateway = gateway
        self._wishes = wishes
        self._store = store
        self._clock = clock

    def form(self, transport: str) -> Sequence[AccountField]:
        """What must be known of an account; empty when none are served there."""
        adapter = self._gateway.transports[transport].adapter
        return adapter.account_form() if isinstance(adapter, Accounts) else ()

    def _adapter(self, transport: str) -> Accounts:
        adapter = self._gateway.transports[transport].adapter
        if not isinstance(adapter, Accounts) or not adapter.account_form():
            raise Denied(tr("Accounts of your own cannot be used here."), "not-allowed", "cancel")
        return adapter

    async def of(self, line: Line) -> Account | None:
        """The account behind a line."""
        return await self._store.look(accounts.account_of, line.id)

    async def bring(self, line: Line, fields: Mapping[str, str]) -> Brought:
        """Make a user's own account elsewhere their line here, in place of the address before. `fields` are
        those of `form`. Raises Denied; may take a minute."""
        try:
            account = await self._adapter(line.transport).check_account(fields)
        except BadAccount as error:
            raise Denied(str(error)) from error
        owner = await self._store.look(people.line_with_address, line.transport, account.address)
        if owner is not None and owner.id != line.id:
            raise Denied(tr("Somebody else here uses this address already."), "conflict", "cancel")
        known = await self.of(line)
        if not account.proven and (known is None or known.address != account.address):
            await self._wishes.send_code(line, account.address, account)
            return Brought(account.address, None)
        try:
            brought = await self._store.do(
                accounts.bring, line.transport, line.jid, line.name, account, self._clock()
            )
        except people.AddressTaken as error:
            raise Denied(tr("Somebody else here uses this address already."), "conflict", "cancel") from error
        self._changed(line.transport)
        return Brought(account.address, brought)

    async def renew(self, line: Line, password: str) -> Account:
        """The account has another password now. Raises Denied."""
        adapter = self._adapter(line.transport)
        known = await self._known(line)
        try:
            renewed = await adapter.renew_account(known.sealed, password)
        except BadAccount as error:
            raise Denied(str(error)) from error
        lanes = await self._store.do(accounts.renew, line, renewed, self._clock())
        self._changed(line.transport)
        self._gateway.ring(lanes)
        return known

    async def remove(self, line: Line) -> Line:
        """Forget the account; the user has one of the gateway's addresses again. Raises Denied."""
        await self._known(line)
        adapter = self._gateway.transports[line.transport].adapter
        candidates = adapter.own_addresses(line.jid)
        try:
            left, lanes = await self._store.do(accounts.remove, line, candidates, self._clock())
        except people.AddressTaken as error:
            raise Denied(
                tr("No address is free for you here at the moment. Ask the administrator of this gateway."),
                "conflict",
                "cancel",
            ) from error
        self._changed(line.transport)
        self._gateway.ring(lanes)
        return left

    async def state(self, line: Line) -> AccountState:
        """How it goes with the account behind a line. Raises Denied."""
        return self._adapter(line.transport).account_state((await self._known(line)).sealed)

    async def _known(self, line: Line) -> Account:
        known = await self.of(line)
        if known is None:
            raise Denied(tr("You have not brought a mail account of your own here."), "item-not-found")
        return known

    def _changed(self, transport: str) -> None:
        self._gateway.forget_lines()
        self._gateway.sources.accounts_changed(transport)
