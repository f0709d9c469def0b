"""Mailing lists (RFC 2919, RFC 2369): one contact for each, whoever writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.email import headers, subjects
from adapters.email.addresses import NotAnAddress, canonical
from bridge.model import Address
from bridge.options import MEMO_LIST

_ID = re.compile(r"<\s*([A-Za-z0-9_.+-]{1,200})\s*>\s*$")
_POST = re.compile(r"<\s*mailto:([^<>?\s]{3,320})(?:\?[^<>]{0,500})?\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MailingList:
    """A list as a contact."""

    id: str
    name: str
    address: Address
    post: str = ""  # where to write to everybody; empty where nobody may


def of(head: headers.Head) -> MailingList | None:
    """The list that a mail came through, or None."""
    field = head.raw("list-id")[:1000]
    if not field:
        return None
    found = _ID.search(field)
    list_id = (found[1] if found else field.strip()).lower()
    post = _post(head)
    address = _address(list_id, post)
    if not address:
        return None
    name = headers.decoded(field[: found.start()] if found else "")
    return MailingList(list_id, _name(name, list_id), Address(address, address), post)


def memo(mailing_list: MailingList | None) -> Mapping[str, str]:
    """What an answer must know of it."""
    if mailing_list is None:
        return {}
    return {MEMO_LIST: mailing_list.name, "list_id": mailing_list.id, "list_post": mailing_list.post}


def _post(head: headers.Head) -> str:
    found = _POST.search(head.raw("list-post")[:2000])
    try:
        return canonical(found[1].replace("%40", "@")) if found else ""
    except NotAnAddress:
        return ""


def _address(list_id: str, post: str) -> str:
    """The same for every mail of a list: some name another address for posts in each thread, which then
    counts less than the id."""
    local, _, domain = list_id.partition(".")
    if post:
        posted, _, host = post.rpartition("@")
        if "+" not in posted and (posted == local or domain in (host, "") or list_id == host):
            return post
    try:
        return canonical(f"{local}@{domain}")
    except NotAnAddress:
        return post


def _name(name: str, list_id: str) -> str:
    return subjects.one_line(name).strip("'\" ")[:120] or list_id.partition(".")[0]
