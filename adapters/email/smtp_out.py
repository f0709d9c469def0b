"""Hands mails to the smarthost and says what became of each recipient. The only place that speaks SMTP out.

A mail may be repeated: it keeps its Message-ID, and receivers drop the second. So whatever is in doubt
is tried again.
"""

from collections.abc import Mapping

import structlog
from aiosmtplib.errors import SMTPDataError, SMTPException, SMTPResponseException

from adapters.email import replies
from adapters.email.compose import Mail
from adapters.email.replies import Reply
from adapters.email.smtp_pool import Connection, NoConnection, Pool, Smarthost
from bridge.ports import Fate, Refused, Scope, Sent, TryLater

log = structlog.get_logger()

_NEEDS_UTF8 = (
    "{rcpt} or your own address has letters outside ASCII before the @, "
    "and the mail server on the way does not take those. Use another address."
)
_UNREACHABLE = "Our mail server cannot be reached just now. This is tried again by itself."
_BROKE_OFF = "The mail server broke off in the middle. This is tried again by itself."
_NOT_OUR_TURN = "Our mail server does not take our mail just now. This is tried again by itself."


class _LostBeforeData(Exception):
    """The connection was lost before the mail itself was spoken of: nothing can have been taken."""


class Submitter:
    """Sends one mail at a time over each connection of a pool."""

    def __init__(self, pool: Pool, smarthost: Smarthost) -> None:
        self._pool = pool
        self._smarthost = smarthost
        self.trouble = ""  # a sentence for the admin; empty when all is well

    async def submit(self, mail: Mail) -> Mapping[str, Fate]:
        """What became of each recipient. Raises for nothing that the far end does."""
        for new in (False, True):
            try:
                async with self._pool.lease(new=new) as connection:
                    # A server may close what rests, just when it is taken up: once more on a new one.
                    last = connection.fresh
                    return await self._transaction(connection, mail)
            except NoConnection as error:
                self._note(error.remedy)
                return _all(mail, TryLater(str(error), scope=Scope.OUTLET))
            except _LostBeforeData:
                if last:
                    break
        self._note("the mail server hangs up or does not answer before it takes a mail: see its log")
        return _all(mail, TryLater(_UNREACHABLE, scope=Scope.OUTLET))

    async def _transaction(self, connection: Connection, mail: Mail) -> dict[str, Fate]:
        if mail.smtputf8 and not connection.client.supports_extension("smtputf8"):
            return {
                one: Refused(_NEEDS_UTF8.replace("{rcpt}", one), "not-acceptable", "modify", "no SMTPUTF8")
                for one in mail.recipients
            }
        fates = await self._envelope(connection, mail)
        taken = [one for one in mail.recipients if one not in fates]
        connection.mails += 1
        if taken:
            fates |= await self._content(connection, mail, taken)
        else:
            await self._reset(connection)
        return {one: fates[one] for one in mail.recipients}

    async def _envelope(self, connection: Connection, mail: Mail) -> dict[str, Fate]:
        """MAIL and RCPT. Answers the fates of those that were not accepted."""
        client = connection.client
        options = [b"SIZE=%d" % len(mail.raw)] if client.supports_extension("size") else []
        if mail.smtputf8:
            options += [b"BODY=8BITMIME", b"SMTPUTF8"]
        answer = await self._command(connection, b"MAIL", b"FROM:<%s>" % mail.sender.encode(), *options)
        if not answer.positive:
            return _all(mail, self._fate(answer, mail.recipients[0], of_recipient=False))
        fates: dict[str, Fate] = {}
        for recipient in mail.recipients:
            answer = await self._command(connection, b"RCPT", b"TO:<%s>" % recipient.encode())
            if not answer.positive:
                fates[recipient] = self._fate(answer, recipient, of_recipient=True)
            if answer.code == 421:  # the server has left: nobody else was accepted either
                return _all(mail, fates[recipient]) | fates
        return fates

    async def _content(self, connection: Connection, mail: Mail, taken: list[str]) -> dict[str, Fate]:
        try:
            done = await connection.client.data(mail.raw, timeout=self._smarthost.data_timeout)
            answer = Reply(done.code, done.message)
        except SMTPDataError as error:
            answer = Reply(error.code, error.message)
            await self._reset(connection)
        except (SMTPException, OSError) as error:
            # Perhaps it was taken. Counted as an attempt, so that a mail that fells the server ends.
            log.warning("connection lost during DATA", error=type(error).__name__)
            connection.client.close()
            return dict.fromkeys(taken, TryLater(_BROKE_OFF))
        if answer.positive:
            self._note("")
            return dict.fromkeys(taken, Sent(mail.message_id))
        return {one: self._fate(answer, one, of_recipient=False) for one in taken}

    async def _command(self, connection: Connection, *words: bytes) -> Reply:
        try:
            answer = await connection.client.execute_command(*words)
        except SMTPResponseException as error:  # what came back is no SMTP
            connection.client.close()
            raise _LostBeforeData from error
        except (SMTPException, OSError) as error:
            raise _LostBeforeData from error
        return Reply(answer.code, answer.message)

    async def _reset(self, connection: Connection) -> None:
        """Make the connection fit for the next mail, or close it."""
        if not connection.client.is_connected:
            return
        try:
            answer = await connection.client.execute_command(b"RSET")
        except (SMTPException, OSError):
            connection.client.close()
            return
        if answer.code != 250:
            connection.client.close()

    def _fate(self, answer: Reply, recipient: str, *, of_recipient: bool) -> Fate:
        """What a negative answer means for one recipient."""
        if answer.code in (530, 538) or (answer.code == 535):
            self._note(f"the mail server wants a login or TLS ({answer.codes}): check tls and username")
            return TryLater(_NOT_OUR_TURN, scope=Scope.OUTLET)
        if answer.permanent:
            what = replies.meaning(answer, of_recipient=of_recipient)
            sentence = replies.in_words(what, answer, recipient)
            return Refused(sentence, what.condition, what.error_type, answer.codes)
        sentence = replies.later_in_words(answer, recipient)
        if answer.code == 421 or (not of_recipient and answer.enhanced.startswith("4.3.")):
            self._note(f"the mail server asks us to come back later ({answer.codes})")
            return TryLater(sentence, scope=Scope.OUTLET)
        return TryLater(sentence)

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("the smarthost does not take our mail", remedy=trouble)
        self.trouble = trouble


def _all(mail: Mail, fate: Fate) -> dict[str, Fate]:
    return dict.fromkeys(mail.recipients, fate)
