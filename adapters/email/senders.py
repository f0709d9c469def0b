"""Under which address a mail is shown: its author, a mailing list, or one that nobody can prove.

What fails its check has an address of its own, so that it never stands in the conversation of the person
it names: `alice=example.com@unverified.invalid` (RFC 2606 keeps `invalid` for nobody). Nothing can be sent
there; the adapter refuses it with a sentence.
"""

import re
from dataclasses import dataclass

from adapters.email import headers, subjects
from adapters.email.addresses import lenient
from adapters.email.authenticity import Outcome, Verdict, related
from adapters.email.lists import MailingList
from bridge.i18n import tr
from bridge.model import Address

UNPROVEN = "unverified.invalid"
NAME_LIMIT = 120
_ADDRESS_IN_NAME = re.compile(r"[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,8}[\w-]{2,63})")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail is from, as the chat shows it."""

    address: Address
    name: str = ""
    warning: str = ""  # a line that stands above the text
    author: str = ""  # on a list: who wrote this one


def of(head: headers.Head, verdict: Verdict, mailing_list: MailingList | None, fallback: Address) -> Sender:
    """The sender of a mail. `fallback` is who it is from if it names nobody."""
    named, given = head.author()
    canonical = lenient(given)
    author = Address(canonical, given.strip()) if canonical else fallback
    name = person(named, author)
    why = _doubt(head, verdict, mailing_list)
    if why:
        return Sender(_unproven(author), warning=_warning(name, author, why))
    if mailing_list is not None:
        return Sender(mailing_list.address, mailing_list.name, author=name or author.original)
    claimed = _claimed(name, author.canonical)
    if claimed:
        warning = tr(
            "⚠ The name says {claimed}, but this came from {author}.", claimed=claimed, author=author.original
        )
        return Sender(author, warning=warning)
    return Sender(author, name)


def person(name: str, address: Address) -> str:
    """A display name fit for a chat; empty if it only repeats the address."""
    name = subjects.one_line(name).strip("'\" ")[:NAME_LIMIT].rstrip()
    return "" if name.lower() in (address.canonical, address.original.lower()) else name


def pretended(text: str) -> str:
    """The address that an unproven one (or one of several) stands for; empty if this is none of those."""
    for one in text.split(","):
        local, _, domain = one.strip().rpartition("@")
        if domain.lower() == UNPROVEN:
            name, _, host = local.rpartition("=")
            return f"{name}@{host}"
    return ""


def is_unproven(address: str) -> bool:
    """Whether a canonical address is one that stands for a sender whom nobody can prove."""
    return address.endswith(f"@{UNPROVEN}")


def _doubt(head: headers.Head, verdict: Verdict, mailing_list: MailingList | None) -> str:
    """Why a mail cannot be shown as from whom it names; empty if it can."""
    froms = head.every("from")
    if len(froms) > 1 or (froms and froms[0].count("@") > 1 and len(_domains(froms)) > 1):
        return tr("it names more than one author")
    if verdict.outcome is not Outcome.FAIL:
        return ""
    if mailing_list is not None and verdict.vouched_by(mailing_list.address.canonical.rpartition("@")[2]):
        return ""  # a list that passes on what it may change: it vouches for itself
    return verdict.why


def _domains(froms: list[str]) -> set[str]:
    return {lenient(one).rpartition("@")[2] for _, one in headers.mailboxes(froms)} - {""}


def _unproven(author: Address) -> Address:
    local, _, domain = author.canonical.rpartition("@")
    return Address(f"{local}={domain}@{UNPROVEN}", f"{local}={domain}@{UNPROVEN}")


def _warning(name: str, author: Address, why: str) -> str:
    named = f"{name} <{author.original}>" if name else author.original
    return tr("⚠ Not verified: this may not be from {author}: {why}.", author=named, why=why)


def _claimed(name: str, address: str) -> str:
    """An address in the display name that belongs to somebody else; empty if there is none."""
    found = _ADDRESS_IN_NAME.search(name)
    if found is None or related(found[1].lower(), address.rpartition("@")[2]):
        return ""
    return found[0]
