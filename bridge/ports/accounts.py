"""Accounts elsewhere that users bring along, to be used as their own lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bridge.model import LineId


@dataclass(frozen=True, slots=True)
class AccountField:
    """One thing that must be known to use somebody's own account."""

    name: str
    label: str
    value: str = ""  # what stands there until it is changed
    secret: bool = False
    choices: tuple[str, ...] = ()  # empty: any text
    required: bool = True


@dataclass(frozen=True, slots=True)
class CheckedAccount:
    """An account that works. What is needed to use it is sealed: only its adapter can read it."""

    address: str  # canonical; becomes the user's line
    sealed: bytes
    proven: bool = False  # the login was at a server that the settings trust: the address is the user's


@dataclass(frozen=True, slots=True)
class AccountState:
    """How it goes with an account, for its user. Trouble is a sentence; empty when all is well."""

    reads_at: str  # host
    sends_at: str
    reading: str = ""
    sending: str = ""
    up_to_date: bool = False  # what lay in the mailbox has been taken in


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is recorded."""

    line_id: LineId
    jid: str  # bare JID of whose it is
    address: str  # canonical
    sealed: bytes


class BadAccount(ValueError):
    """An account cannot be used as it is described. The message is a sentence that says what to do."""


@runtime_checkable
class Accounts(Protocol):
    """An adapter whose users may bring accounts of their own."""

    def account_form(self) -> Sequence[AccountField]:
        """What to ask for; empty when accounts are not served here."""
        ...

    async def check_account(self, fields: Mapping[str, str]) -> CheckedAccount:
        """Log in everywhere, within a minute. Raises BadAccount."""
        ...

    async def renew_account(self, sealed: bytes, password: str) -> CheckedAccount:
        """The same account with another password, if that works. Raises BadAccount."""
        ...

    def account_state(self, sealed: bytes) -> AccountState:
        """How it goes with an account of the record."""
        ...

    def accounts_changed(self) -> None:
        """The record has other accounts than before: ask the inbox for them again."""
        ...
