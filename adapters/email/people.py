"""Who else got a mail: what an answer to everybody needs, and what the reader should know."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.email import headers, subjects
from adapters.email.addresses import lenient
from bridge.options import MEMO_OTHERS

_MOST = 100  # addresses of one field that are kept
_NAMED = 3
_UNSAFE = str.maketrans(dict.fromkeys('<>,;:"\\()@', " "))


@dataclass(frozen=True, slots=True)
class People:
    """Names and addresses (canonical, each once) of the fields that an answer goes by."""

    author: Mapping[str, str]  # address → name
    to: Mapping[str, str]
    cc: Mapping[str, str]
    reply_to: Mapping[str, str]

    def memo(self, ours: str) -> dict[str, str]:
        """What an answer of this recipient must know. `others` only for who stood in To or Cc: nobody
        else is to answer everybody."""
        fields = {"from": self.author, "to": self.to, "cc": self.cc, "reply_to": self.reply_to}
        found = {name: written(people) for name, people in fields.items() if people}
        if ours in self.to or ours in self.cc:
            others = {one: name for one, name in {**self.author, **self.to, **self.cc}.items() if one != ours}
            if others.keys() - self.author.keys():
                found[MEMO_OTHERS] = written(others)
        if found.get("to") == ours:
            del found["to"]
        return found

    def line(self, ours: str) -> str:
        """A line that names who else got it: `👥 Also to Tom Ray, Eva and 3 more`; empty if nobody did."""
        also = {**self.to, **self.cc}
        names = [name or one for one, name in also.items() if one != ours and one not in self.author]
        more = len(names) - _NAMED
        if more > 1:
            return f"👥 Also to {', '.join(names[:_NAMED])} and {more} more"
        if len(names) > 1:
            return f"👥 Also to {', '.join(names[:-1])} and {names[-1]}"
        return f"👥 Also to {names[0]}" if names else ""


def of(head: headers.Head) -> People:
    """Who a mail names."""
    return People(*(_people(head, name) for name in ("from", "to", "cc", "reply-to")))


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


def _plain(name: str) -> str:
    return " ".join(subjects.one_line(name).translate(_UNSAFE).split())[:60].rstrip()
