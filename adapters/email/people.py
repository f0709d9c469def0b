"""Who else got a mail: what an answer to everybody needs, and what the reader should know."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.email import headers, subjects
from adapters.email.addresses import lenient, without_token
from bridge.i18n import tr
from bridge.model import Group
from bridge.options import MEMO_OTHERS

_MOST = 100  # addresses of one field that are kept
_MOST_OF_GROUP = 100  # people of one chat that are kept
_NAMED = 3
_UNSAFE = str.maketrans(dict.fromkeys('<>,;:"\\()@', " "))
_LOOKS_LIKE_ONE = re.compile(r'[^\s<>,;:"()@]{1,64}@[^\s<>,;:"()@]{1,253}')


@dataclass(frozen=True, slots=True)
class People:
    """Names and addresses (canonical, each once) of the fields that an answer goes by."""

    author: Mapping[str, str]  # address → name
    to: Mapping[str, str]
    cc: Mapping[str, str]
    reply_to: Mapping[str, str]
    every: frozenset[str] = frozenset()  # of To and Cc, where those hold more than is kept

    def memo(self, ours: str) -> dict[str, str]:
        """What an answer of this recipient must know. `others` only for who stood in To or Cc: nobody
        else is to answer everybody."""
        fields = {"from": self.author, "to": self.to, "cc": self.cc, "reply_to": self.reply_to}
        found = {name: written(people) for name, people in fields.items() if people}
        if self.names(ours):
            also = {**self.author, **self.to, **self.cc}
            others = {one: name for one, name in also.items() if without_token(one) != ours and one != ours}
            if others.keys() - self.author.keys():
                found[MEMO_OTHERS] = written(others)
        if found.get("to") == ours:
            del found["to"]
        return found

    def names(self, ours: str) -> bool:
        """Whether this recipient stands in To or Cc, perhaps with a token of ours."""
        return ours in self.every or any(ours in (one, without_token(one)) for one in (*self.to, *self.cc))

    def line(self, ours: str) -> str:
        """A line that names who else got it: `👥 Also to Tom Ray, Eva and 3 more`; empty if nobody did."""
        also = {**self.to, **self.cc}
        names = [name or one for one, name in also.items() if one != ours and one not in self.author]
        more = len(names) - _NAMED
        if more > 1:
            return tr("👥 Also to {names} and {number} more", names=", ".join(names[:_NAMED]), number=more)
        if len(names) > 1:
            return tr("👥 Also to {names} and {last}", names=", ".join(names[:-1]), last=names[-1])
        return tr("👥 Also to {names}", names=names[0]) if names else ""

    def group(self, ours: str, writer: str, name: str, domains: Sequence[str]) -> Group | None:
        """The people of the chat that this mail belongs into, its writer first; None if that is only its
        writer. People of our own `domains` count without their tokens, which differ from mail to mail."""
        people = {writer: name or self.author.get(writer, "")}
        for address, called in (*self.to.items(), *self.cc.items()):
            plain = without_token(address) if address.rpartition("@")[2] in domains else address
            if ours not in (plain, without_token(plain)):
                people[plain] = people.get(plain) or called
        if len(people) < 2:
            return None
        kept = {address: _plain(called) for address, called in list(people.items())[:_MOST_OF_GROUP]}
        everybody = ((self.every | {writer}) if self.every else frozenset(people)) - {ours}
        if len(everybody) <= len(kept):
            return Group(kept, len(kept), self.names(ours))
        mark = hashlib.blake2b(",".join(sorted(everybody)).encode(), digest_size=10).hexdigest()
        return Group(kept, len(everybody), self.names(ours), mark)


def of(head: headers.Head) -> People:
    """Who a mail names."""
    to, cc = _people(head, "to"), _people(head, "cc")
    large = len(to) == _MOST or len(cc) == _MOST or _is_long(head, "to") or _is_long(head, "cc")
    every = _every(head) if large else frozenset()
    return People(_people(head, "from"), to, cc, _people(head, "reply-to"), every)


def written(people: Mapping[str, str]) -> str:
    """`Name <address>` with `, ` between; names hold nothing that has a meaning there."""
    return ", ".join(f"{name} <{address}>" if name else address for address, name in people.items())


def _people(head: headers.Head, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for person, address in headers.mailboxes(head.every(name)):
        canonical = lenient(address)
        if canonical and len(found) < _MOST:
            found.setdefault(canonical, _plain(person))
    return found


def _is_long(head: headers.Head, name: str) -> bool:
    return any(len(value) > headers.PEOPLE_LIMIT for value in head.every(name))


def _every(head: headers.Head) -> frozenset[str]:
    """All that looks like an address in To and Cc: thousands of them, so without much ado."""
    values = [*head.every("to"), *head.every("cc")]
    return frozenset(found.lower() for value in values for found in _LOOKS_LIKE_ONE.findall(value))


def _plain(name: str) -> str:
    return " ".join(subjects.one_line(name).translate(_UNSAFE).split())[:60].rstrip()
