"""Whom a message goes to: its contact, or whom the transport's adapter names. One delivery for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.ports import Addressed, BadAddress, Outward
from bridge.store.company import Company
from bridge.store.conversations import Found
from bridge.store.rows import unpack
from bridge.store.threads import Thread

Direct = Callable[[Outward], Addressed]  # bridge.ports.Addresses


@dataclass(eq=False)
class Misdirected(Exception):
    """A message goes to nobody: the transaction is undone, and can be run again without it."""

    uid: str
    why: BadAddress


def directed(
    direct: Direct | None,
    draft: Any,
    line: Any,
    conversation: Found,
    parent: Any,
    thread: Thread | None,
    company: Company | None = None,
) -> Addressed:
    """The recipients of a draft, and its memo. `parent` is the message that it was chosen to answer, else
    it answers the newest of its thread. Raises Misdirected."""
    if direct is None:
        return Addressed((_as_spelled(conversation.original, conversation.address),))
    answers: int | None = None
    told = ""
    if parent is not None:
        answers, told = parent.id, parent.memo
    elif thread is not None:
        if company is not None:
            company.answer(thread, draft.subject)
        answers, told = thread.last_in_id, thread.last_in_memo
    answered = unpack(told) if answers is not None else None
    outward = Outward(
        contact=conversation.address,
        spelled=_as_spelled(conversation.original, conversation.address),
        line=conversation.own or line.address,
        options=draft.options,
        answered=draft.again if draft.again is not None else answered,
        first=thread is not None and thread.answered_id != answers,
        language=line.language or line.spoken,
        people=company.people if company is not None else {},
        own=frozenset(line.own.split("\n")),
    )
    try:
        found = direct(outward)
    except BadAddress as error:
        raise Misdirected(draft.uid, error) from error
    why = None
    if company is not None and outward.answered is None:
        why = company.why_not_yet(draft.options, found.recipients, thread)
    if why is not None:
        raise Misdirected(draft.uid, why)
    if thread is not None and not draft.needs_parent:
        thread.answered_id = answers
    return found


def _as_spelled(original: str, canonical: str) -> str:
    """Local parts may be case-sensitive at their host: the spelling is kept where only case differs."""
    return original if original.casefold() == canonical.casefold() else canonical
