"""Hands mails to the smarthost and says what became of each recipient. The only place that speaks SMTP out.

A mail may be repeated: it keeps its Message-ID, and receivers drop the second. So whatever is in doubt
is tried again.
"""

from collections.abc import Mapping, Sequence

import structlog

from adapters.email import replies
from adapters.email.compose import Mail
from adapters.email.replies import Reply
from adapters.email.smtp_pool import Connection, NoConnection, Pool, Smarthost
from adapters.email.smtp_session import ConnectionLost, Session
from bridge.i18n import filled, tr
from bridge.ports import Fate, Refused, Scope, Sent, TryLater

log = structlog.get_logger()

_NEEDS_UTF8 = tr(
    "{rcpt} or your own address has letters outside ASCII before the @, "
    "and the mail server on the way does not take those. Use another address."
)
_UNREACHABLE = tr("Our mail server cannot be reached just now. It will be tried again automatically.")
_BROKE_OFF = tr("The mail server broke off in the middle. It will be tried again automatically.")
_NOT_OUR_TURN = tr("Our mail server does not take our mail just now. It will be tried again automatically.")
_GO_ON = 354


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
        try:
            session = connection.session()
        except ConnectionLost as error:
            raise _LostBeforeData from error
        if mail.smtputf8 and "smtputf8" not in session.extensions:
            return {
                one: Refused(filled(_NEEDS_UTF8, rcpt=one), "not-acceptable", "modify", "no SMTPUTF8")
                for one in mail.recipients
            }
        try:
            fates, data = await self._envelope(session, mail)
        except ConnectionLost as error:
            raise _LostBeforeData from error
        connection.mails += 1
        taken = [one for one in mail.recipients if one not in fates]
        if taken and data is not None and data.code == _GO_ON:
            fates |= await self._content(session, mail, taken)
        elif taken and data is not None:
            fates |= {one: self._fate(data, one, of_recipient=False) for one in taken}
            await self._reset(session)
        else:
            await self._give_up(session, data)
        return {one: fates[one] for one in mail.recipients}

    async def _envelope(self, session: Session, mail: Mail) -> tuple[dict[str, Fate], Reply | None]:
        """MAIL, RCPT and DATA. Answers the fates of those that were not accepted, and the answer to DATA
        (None: it was not said)."""
        start = self._mail_command(session, mail)
        to = [b"RCPT TO:<%s>" % one.encode() for one in mail.recipients]
        if "pipelining" not in session.extensions:
            return await self._step_by_step(session, mail, start, to)
        # RFC 2920 section 3.1: DATA may end a group, and is the last in it.
        heard = await session.commands([start, *to, b"DATA"], self._smarthost.command_timeout)
        data = heard.pop() if len(heard) == len(to) + 2 else None
        return self._refusals(mail, heard[0], heard[1:]), data

    async def _step_by_step(
        self, session: Session, mail: Mail, start: bytes, to: Sequence[bytes]
    ) -> tuple[dict[str, Fate], Reply | None]:
        within = self._smarthost.command_timeout
        sender = await session.command(start, within)
        heard: list[Reply] = []
        for line in to if sender.positive else ():
            heard.append(await session.command(line, within))
            if heard[-1].code == 421:
                break
        fates = self._refusals(mail, sender, heard)
        if len(fates) == len(mail.recipients):
            return fates, None
        return fates, await session.command(b"DATA", within)

    def _mail_command(self, session: Session, mail: Mail) -> bytes:
        options = b" SIZE=%d" % len(mail.raw) if "size" in session.extensions else b""
        if mail.smtputf8:
            options += b" BODY=8BITMIME SMTPUTF8"
        return b"MAIL FROM:<%s>%s" % (mail.sender.encode(), options)

    def _refusals(self, mail: Mail, sender: Reply, heard: Sequence[Reply]) -> dict[str, Fate]:
        """The fates of those recipients that were not accepted."""
        if not sender.positive:
            return _all(mail, self._fate(sender, mail.recipients[0], of_recipient=False))
        fates: dict[str, Fate] = {}
        for recipient, answer in zip(mail.recipients, heard, strict=False):
            if not answer.positive:
                fates[recipient] = self._fate(answer, recipient, of_recipient=True)
            if answer.code == 421:  # the server has left: nobody else was accepted either
                return _all(mail, fates[recipient]) | fates
        return fates

    async def _content(self, session: Session, mail: Mail, taken: list[str]) -> dict[str, Fate]:
        try:
            answer = await session.content(mail.raw, self._smarthost.data_timeout)
        except ConnectionLost:
            # Perhaps it was taken. Counted as an attempt, so that a mail that fells the server ends.
            log.warning("connection lost during DATA")
            return dict.fromkeys(taken, TryLater(_BROKE_OFF))
        if answer.positive:
            self._note("")
            return dict.fromkeys(taken, Sent(mail.message_id))
        await self._reset(session)
        return {one: self._fate(answer, one, of_recipient=False) for one in taken}

    async def _give_up(self, session: Session, data: Reply | None) -> None:
        """Nobody was accepted. A server may say "go on" all the same; it is then given an empty mail, which
        it must refuse (RFC 2920 section 3.1). One that does not has taken a mail for nobody."""
        if data is not None and data.code == _GO_ON:
            try:
                await session.content(b"", self._smarthost.command_timeout)
            except ConnectionLost:
                return
        await self._reset(session)

    async def _reset(self, session: Session) -> None:
        """Make the connection fit for the next mail, or close it."""
        if not session.open:
            return
        try:
            answer = await session.command(b"RSET", self._smarthost.command_timeout)
        except ConnectionLost:
            return
        if answer.code != 250:
            session.close()

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
