"""What stands before a message from outside in the chat: who it is that nobody knows, what it is about
where that is new, what has changed since. And the guard against programs that answer each other.

The words that its writer wrote stay as they are: what stands before them is an option of the message.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select, update

from bridge.i18n import tr, translate, trn
from bridge.model import Direction, Incoming, State
from bridge.options import FACT, KNOWN_SUBJECT, LEAD, MEMO_AUTO, MEMO_SPAM, MEMO_TOPIC, REPLIED
from bridge.policy import ALLOWED, answers_too_often
from bridge.store.conversations import Found
from bridge.store.groups import Entry
from bridge.store.names import shared
from bridge.store.rows import unpack
from bridge.store.tables import deliveries, messages
from bridge.store.threads import Thread

_HOUR = 3600.0
_NAMED = 3  # people of a line
_SPAM = tr("⚠ Your mail server takes this for spam.")


class Leads:
    """For the messages of one transaction, in their order."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        self._greeted: set[int] = set()
        self._answers: dict[int, int] = {}  # automatic ones of the last hour, by conversation
        self._endless: list[bool] = []

    def options(
        self,
        one: Incoming,
        found: Found,
        thread: Thread | None,
        *,
        began: bool,
        entry: Entry | None = None,
        language: str = "",
    ) -> Mapping[str, str]:
        """The options of a message before it is recorded; its thread's subject follows it. `entry` is
        what it adds to a chat of several people."""
        opens = entry is not None and self._opens(found)
        among = _among(entry, language, opens=opens) if entry is not None else _also(one, language)
        writer = f"{entry.writer}: " if entry is not None else ""
        parts = [*among, _suspicion(one, language), self._before(one, found), one.lead, writer]
        known = True
        if thread is not None:
            known = not one.subject or (not began and thread.subject.casefold() == one.subject.casefold())
            thread.subject = thread.subject if known else one.subject
        if thread is not None and began and self._is_first(found, opens=opens):
            parts.insert(0, f"{introduction(one)}\n")
        elif not known and one.subject != one.body:
            parts.insert(0, f"✉ {one.subject}\n")
        self._endless.append(self._is_endless(one, found))
        lead = "".join(parts)
        return {**({LEAD: lead} if lead else {}), **({KNOWN_SUBJECT: "1"} if known else {})}

    def hold_loops(self, message_ids: Sequence[int]) -> None:
        """Of these messages, in the order of `options`: what only feeds a loop is kept, not shown."""
        endless = [id_ for id_, is_so in zip(message_ids, self._endless, strict=True) if is_so]
        if endless:
            self._connection.execute(
                update(deliveries)
                .where(deliveries.c.message_id.in_(endless))
                .values(state=State.CANCELLED, settled_at=self._now, reason="Programs answer each other.")
            )

    def _is_first(self, found: Found, *, opens: bool) -> bool:
        """Whether nothing was written in a conversation before, by somebody whom the user does not know."""
        return found.standing != ALLOWED and (opens or self._opens(found))

    def _opens(self, found: Found) -> bool:
        """Whether nothing was written in a conversation before. Says so once."""
        if found.id in self._greeted:
            return False
        self._greeted.add(found.id)
        earlier = select(messages.c.id).where(messages.c.conversation_id == found.id).limit(1)
        return self._connection.execute(earlier).first() is None

    def _before(self, one: Incoming, found: Found) -> str:
        """What an earlier message of the same topic told otherwise."""
        topic = one.memo.get(MEMO_TOPIC)
        if not topic:
            return ""
        mark = f'"{MEMO_TOPIC}":{json.dumps(topic, ensure_ascii=False)}'
        earlier = self._connection.execute(
            select(messages.c.memo)
            .where(
                messages.c.conversation_id == found.id,
                messages.c.direction == Direction.IN,
                messages.c.memo.contains(mark, autoescape=True),
            )
            .order_by(messages.c.id.desc())
            .limit(1)
        ).scalar_one_or_none()
        changed = [
            before
            for name, before in unpack(earlier).items()
            if name.startswith(FACT) and one.memo.get(name, "") != before
        ]
        return f"(Before: {', '.join(changed)})\n" if changed else ""

    def _is_endless(self, one: Incoming, found: Found) -> bool:
        if one.memo.get(MEMO_AUTO) != REPLIED:
            return False
        if found.id not in self._answers:
            self._answers[found.id] = self._answers_within_an_hour(found.id)
        self._answers[found.id] += 1
        return answers_too_often(self._answers[found.id])

    def _answers_within_an_hour(self, conversation_id: int) -> int:
        counted = select(func.count()).where(
            messages.c.conversation_id == conversation_id,
            messages.c.direction == Direction.IN,
            messages.c.written_at > self._now - _HOUR,
            messages.c.memo.contains(f'"{MEMO_AUTO}":"{REPLIED}"', autoescape=True),
        )
        return int(self._connection.execute(counted).scalar_one())


def _suspicion(one: Incoming, language: str) -> str:
    return f"{translate(_SPAM, language)}\n" if one.memo.get(MEMO_SPAM) else ""


def _among(entry: Entry, language: str, *, opens: bool) -> list[str]:
    """Lines on who else is there: all of them in the chat's first message, then who comes and goes."""
    if opens:
        return [_others(entry.others, entry.unknown, language)]
    lines = []
    if entry.joined:
        lines.append(tr("+ {who} writes here now, and was not in it before", who=entry.joined))
    if entry.added:
        lines.append(
            trn("+ {names} was added", "+ {names} were added", len(entry.added), names=_few(entry.added))
        )
    if entry.left:
        lines.append(
            trn(
                "− {names} is left out now",
                "− {names} are left out now",
                len(entry.left),
                names=_few(entry.left),
            )
        )
    return [f"{translate(line, language)}\n" for line in lines]


def _also(one: Incoming, language: str) -> list[str]:
    """The same for a message to several that stands in its sender's own chat."""
    if one.group is None:
        return []
    others = {address: name for address, name in one.group.people.items() if address != one.sender.canonical}
    unknown = one.group.count - len(one.group.people)
    return [_others([name or address for address, name in others.items()], unknown, language)]


def _others(people: Sequence[str], unknown: int, language: str) -> str:
    named, left = shared(people, _NAMED)
    more = left + unknown
    line = (
        tr("👥 Also to {names} and {number} more", names=named, number=more)
        if more
        else tr("👥 Also to {names}", names=named)
    )
    return f"{translate(line, language)}\n" if people else ""


def _few(people: Sequence[str]) -> str:
    named, left = shared(people, _NAMED)
    return f"{named}, +{left}" if left else named


def introduction(one: Incoming) -> str:
    """`✉ Jana Berg <jana@x.org> · Flat viewing`: clients show an unknown sender's address at best."""
    name = " ".join(one.sender_name.split())[:80]
    who = f"{name} <{one.sender.original}>" if name else one.sender.original
    return f"✉ {who} · {one.subject}" if one.subject and one.subject != one.body else f"✉ {who}"
