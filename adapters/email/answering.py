"""Whom a mail goes to, and what its head says of them: decided when it is recorded.

A plain line goes to Reply-To or From alone; to everybody only if the user asked for it, and only if the
user was among those who got the answered mail openly. Pure, and quick: it runs within a transaction.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.email import addresses, memo
from adapters.email.memo import Person
from bridge.i18n import tr
from bridge.options import ALL, CC, CORRECTION, MEMO_OTHERS, REACTION, RSVP
from bridge.ports import Addressed, BadAddress, Outward

_MAILTO = re.compile(":mailto:", re.IGNORECASE)
MOST = 100  # recipients of one mail: what RFC 5321 section 4.5.3.1.8 makes every server take

_NOT_AMONG_THEM = tr(
    "You were in neither To nor Cc of that mail, so an answer to everybody would show that you got it. "
    "Answer its writer alone, without /all."
)
_NOTHING_ANSWERED = tr("There is no mail here that this would answer. Send it without /all.")
_NO_INVITATION = tr("There is no invitation here that this would answer. Answer in words.")
_NO_REACTION = tr("There is no mail here that this would react to. Send it as a message.")
_NOBODY = tr("Nobody is left to send this to: it was from you to yourself.")
_UNKNOWN_GROUP = tr(
    "Nobody here knows who is in this chat: it has had no mail. Write to the people themselves, with commas "
    "between their addresses."
)
_NO_POSTS = tr("This mailing list takes no mail from its readers. Write to a person instead.")


@dataclass(frozen=True, slots=True)
class _People:
    """To and Cc of a mail to be."""

    to: Sequence[Person]
    cc: Sequence[Person] = ()


def addressed(outward: Outward) -> Addressed:
    """The recipients of a message, each once, and the memo that its mail is composed from.
    Raises BadAddress."""
    here = frozenset({outward.line, addresses.without_token(outward.line)})
    us = here | outward.own
    people = _people(outward, us)
    # Nobody is mailed at another address of their own, but for who writes there on purpose.
    to = _without(us, people.to) or _without(here, people.to)
    also = [*_without(us, people.cc), *_without(here, _asked(outward.options.get(CC, "")))]
    cc = [one for one in _without(here, also) if one[1] not in {address for _, address in to}]
    everybody = [_spelled(outward, address) for _, address in (*to, *cc)]
    if not everybody:
        raise BadAddress(_NOBODY, condition="not-acceptable")
    if len(everybody) > MOST:
        raise BadAddress(
            tr(
                "This would reach {count} people; one mail may go to {most}. Write to fewer.",
                count=len(everybody),
                most=MOST,
            ),
            condition="policy-violation",
        )
    return Addressed(tuple(everybody), _memo(outward, to, cc))


def _people(outward: Outward, us: frozenset[str]) -> _People:
    answered = outward.answered
    if answered is None:
        if outward.options.get(ALL) and not outward.people:
            raise BadAddress(_NOTHING_ANSWERED, condition="not-acceptable")
        _refuse_answers_to_nothing(outward)
        return _People(_contacts(outward))
    if outward.options.get(RSVP):
        return _People(_organizer(answered) or _writers(outward, answered, us))
    if outward.options.get(ALL):
        return _everybody(outward, answered, us)
    if answered.get(memo.OWN):
        return _again(outward, answered)
    return _People(_writers(outward, answered, us))


def _again(outward: Outward, answered: Mapping[str, str]) -> _People:
    """Whom our own earlier mail went to. One that says nothing of them went to the chat's people."""
    to = memo.people(answered, memo.TO)
    # A correction reaches all who have what it corrects; another line leaves out who had a copy only.
    cc = memo.people(answered, memo.CC) if CORRECTION in outward.options else []
    return _People(to or _contacts(outward), cc)


def _refuse_answers_to_nothing(outward: Outward) -> None:
    if outward.options.get(RSVP):
        raise BadAddress(_NO_INVITATION, condition="not-acceptable")
    if outward.options.get(REACTION):
        raise BadAddress(_NO_REACTION, condition="not-acceptable")


def _contacts(outward: Outward) -> list[Person]:
    if outward.people:
        return [(name, address) for address, name in outward.people.items()]
    if addresses.is_group_name(outward.contact):
        raise BadAddress(_UNKNOWN_GROUP)
    return [("", address) for address in addresses.split(outward.contact)]


def _writers(outward: Outward, answered: Mapping[str, str], us: frozenset[str]) -> Sequence[Person]:
    """Whom a plain line goes to: on a list everybody, who see that in the chat's name."""
    if memo.LIST_POST in answered:
        post = addresses.lenient(answered[memo.LIST_POST])
        if post:
            return [("", post)]
        if not (personal := _without(us, memo.people(answered, memo.REPLY_TO))):
            raise BadAddress(_NO_POSTS, condition="not-acceptable")
        return personal
    for name in (memo.REPLY_TO, memo.FROM):
        if found := _without(us, memo.people(answered, name)):
            return found
    return _contacts(outward)


def _everybody(outward: Outward, answered: Mapping[str, str], us: frozenset[str]) -> _People:
    """From or Reply-To, To and Cc; never by somebody who got it by Bcc or a forward."""
    to, cc = memo.people(answered, memo.TO), memo.people(answered, memo.CC)
    if answered.get(memo.OWN) and not to:
        to = _contacts(outward)
    ours = answered.get(memo.OWN) or any(address in us for _, address in memo.people(answered, memo.FROM))
    if not ours and not _among(answered, us, [address for _, address in (*to, *cc)]):
        raise BadAddress(_NOT_AMONG_THEM, condition="not-acceptable")
    # Our own earlier mail: again to whom it went. Else the writer first, the others where they stood.
    first = [] if ours else _authors(outward, answered, us)
    return _People([*first, *to], cc)


def _among(answered: Mapping[str, str], us: frozenset[str], named: Sequence[str]) -> bool:
    """Whether we stood in To or Cc. The parser notes others only then, and leaves To out where it was us
    alone. With nobody else named there is nobody to learn anything."""
    return not named or MEMO_OTHERS in answered or bool(us & {addresses.without_token(one) for one in named})


def _authors(outward: Outward, answered: Mapping[str, str], us: frozenset[str]) -> list[Person]:
    post = addresses.lenient(answered.get(memo.LIST_POST, ""))
    reply_to = _without(us, memo.people(answered, memo.REPLY_TO))
    written_by = _without(us, memo.people(answered, memo.FROM))
    listed: list[Person] = [("", post)] if post else []
    return [*reply_to, *written_by, *listed] or _contacts(outward)


def _organizer(answered: Mapping[str, str]) -> Sequence[Person]:
    """Where RFC 6047 section 2.3 wants an answer to an invitation."""
    for line in answered.get(memo.INVITE, "").split("\n"):
        name, *value = _MAILTO.split(line, maxsplit=1)
        if value and name[:9].upper() == "ORGANIZER" and (found := addresses.lenient(value[0])):
            return [("", found)]
    if memo.INVITE not in answered:
        raise BadAddress(_NO_INVITATION, condition="not-acceptable")
    return []


def _asked(text: str) -> list[Person]:
    """The further recipients of the `cc` wish."""
    found: list[Person] = []
    for one in text.split(","):
        if one.strip():
            try:
                found.append(("", addresses.canonical(one)))
            except addresses.NotAnAddress as error:
                raise BadAddress(str(error), correct=error.correct) from error
    return found


def _without(us: frozenset[str], people: Sequence[Person]) -> list[Person]:
    """Each of them once, less us; the first name that somebody is given counts."""
    kept: dict[str, str] = {}
    for name, address in people:
        if address not in us and addresses.without_token(address) not in us:
            kept[address] = kept.get(address) or name
    return [(name, address) for address, name in kept.items()]


def _spelled(outward: Outward, address: str) -> str:
    """The spelling that the user chose where it is the contact: local parts may be case-sensitive."""
    return outward.spelled if address == outward.contact else address


def _memo(outward: Outward, to: Sequence[Person], cc: Sequence[Person]) -> dict[str, str]:
    """What the mail is composed from: kept small, since most mails go to the contact alone."""
    made = {memo.OWN: "1"}
    quotes = outward.answered is not None and outward.first
    if quotes:
        made[memo.QUOTE] = "1"
    if outward.language and (quotes or CORRECTION in outward.options or RSVP in outward.options):
        made[memo.LANGUAGE] = outward.language
    if cc or list(to) != [("", outward.contact)]:
        made[memo.TO] = ", ".join(memo.written(name, address) for name, address in to)
    if cc:
        made[memo.CC] = ", ".join(memo.written(name, address) for name, address in cc)
    return made
