"""Contacts as they stand in a user's roster (RFC 6121): read, compared with what was seen there, and as they
are to stand there. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from bridge.store.rosters import Entry
from bridge.xmpp import xml

ROSTER = "jabber:iq:roster"
QUERY = f"{{{ROSTER}}}query"


@dataclass(frozen=True, slots=True)
class Item:
    """A contact as it stands in a roster."""

    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a roster tells about what the user did there."""

    names: Mapping[int, str]  # ids of contacts that they have named
    removed: tuple[int, ...]


def read(answer: Element, domain: str) -> dict[str, Item]:
    """The items of a roster that are ours, by the nodes of their JIDs."""
    found = {}
    for item in answer.iter(f"{{{ROSTER}}}item"):
        local, _, host = item.get("jid", "").rpartition("@")
        if local and host == domain and item.get("subscription") != "remove":
            groups = tuple(group.text or "" for group in item.findall(f"{{{ROSTER}}}group"))
            found[local] = Item(item.get("name", ""), groups, item.get("subscription", "none"))
    return found


def compare(before: Iterable[Entry], items: Mapping[str, Item]) -> Seen:
    """What the user has changed since we looked last."""
    names: dict[int, str] = {}
    removed: list[int] = []
    for entry in before:
        item = items.get(entry.local)
        if item is None:
            removed.append(entry.contact_id)
        elif item.name != entry.seen:
            names[entry.contact_id] = item.name
    return Seen(names, tuple(removed))


def wished(entry: Entry, item: Item | None, group: str) -> Item:
    """How a contact is to stand in the roster. What the user wrote there stays, but for a name that is
    the one we gave; nobody is sorted into a group who has been named or sorted already."""
    if item is None:
        return Item(entry.called, (group,), "both")
    named_by_us = not item.name or item.name == entry.seen
    untouched = entry.seen is None and not item.name and not item.groups
    return Item(entry.called if named_by_us else item.name, (group,) if untouched else item.groups, "both")


def payload(jid: str, item: Item) -> str:
    """A roster set; as RFC 6121 section 2.1.5 has it, for one item."""
    groups = "".join(f"<group>{xml.text(group)}</group>" for group in item.groups)
    return (
        f"<query xmlns='{ROSTER}'><item jid='{xml.attribute(jid)}' name='{xml.attribute(item.name)}'"
        f" subscription='{item.subscription}'>{groups}</item></query>"
    )
