"""Sends as one user through the server of their own, and says in their words what is the matter with it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiosmtplib.errors import SMTPAuthenticationError

from adapters.email.compose import Mail
from adapters.email.imap_client import ImapTrouble
from adapters.email.own_account import Places
from adapters.email.smtp_out import Submitter
from adapters.email.smtp_pool import Connection, NoConnection, Pool, Smarthost
from bridge.i18n import filled, tr
from bridge.ports import Fate, Scope, Sent, TryLater

_REST = 30.0  # seconds in which a server that could not be reached is left alone
_UNREACHABLE = tr("Your mail server {host} cannot be reached just now. It will be tried again automatically.")
_NO_LOGIN = tr("Your mail server {host} refuses your password. Type account password to give the new one.")


class _NotingPool(Pool):
    """Remembers whether it was the login that kept us out."""

    login_refused = False

    @asynccontextmanager
    async def lease(self, *, new: bool = False) -> AsyncIterator[Connection]:
        try:
            async with super().lease(new=new) as connection:
                self.login_refused = False
                yield connection
        except NoConnection as error:
            self.login_refused = isinstance(error.__cause__, SMTPAuthenticationError)
            raise


class AccountSender:
    """Sends as one user through the server of their own."""

    def __init__(
        self,
        smarthost: Smarthost,
        places: Places,
        clock: Callable[[], float],
        sent: Callable[[Mail], None] = lambda _mail: None,
    ) -> None:
        self._sent = sent  # what becomes of a mail that went
        self._host = smarthost.host
        self._places = places
        self._clock = clock
        self.pool = _NotingPool(smarthost, clock)
        self._submitter = Submitter(self.pool, smarthost)
        self._rests_until = 0.0
        self.trouble = ""  # a sentence for the user; empty when all is well

    async def submit(self, mail: Mail) -> Mapping[str, Fate]:
        """What became of each recipient. No fate speaks of more than its own delivery."""
        if self._clock() < self._rests_until:
            return self._away(mail)
        try:
            await self._places.resolve(self._host)
        except ImapTrouble:
            return self._away(mail)
        fates = await self._submitter.submit(mail)
        if any(isinstance(fate, TryLater) and fate.scope is Scope.OUTLET for fate in fates.values()):
            # The outlet serves everybody: it must not pause for one user's server.
            self._rests_until = self._clock() + _REST
            return self._away(mail)
        self.trouble = ""
        if any(isinstance(fate, Sent) for fate in fates.values()):
            self._sent(mail)
        return fates

    def _away(self, mail: Mail) -> Mapping[str, Fate]:
        words = _NO_LOGIN if self.pool.login_refused else _UNREACHABLE
        self.trouble = filled(words, host=self._host)
        return dict.fromkeys(mail.recipients, TryLater(self.trouble))
