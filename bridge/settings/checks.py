"""Judges how the parts of the settings fit together. Looks at values only, never at the world.

A finding is (path, problem, remedy). Where a single value is at fault its default stands here in its
place; a finding about such a value is not told, since its own fault has been.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bridge.guard import is_allowed
from bridge.ports import Adapter, TakesWebhooks
from bridge.settings.lines import Path
from bridge.settings.sections import (
    AddressBookSection,
    GatewaySection,
    WebSection,
    XmppSection,
    is_domain,
    is_loopback,
)

Finding = tuple[Path, str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What could be read."""

    gateway: GatewaySection
    xmpp: XmppSection
    web: WebSection
    jids: Mapping[str, str]  # by transport, as written
    classes: Mapping[str, type[Adapter]]  # by transport
    book: AddressBookSection = field(default_factory=AddressBookSection)


def faults(found: Found) -> Iterator[Finding]:
    """What makes the settings unusable."""
    yield from _jids(found)
    yield from _admin_listener(found)
    yield from _webhooks(found)
    yield from _address_book(found)


def warnings(found: Found) -> Iterator[Finding]:
    """What works as it is written, and is probably not meant."""
    gateway, xmpp = found.gateway, found.xmpp
    if not gateway.allow:
        yield (
            ("gateway", "allow"),
            "it is empty, so nobody may register",
            'name domains or JIDs, as in allow = ["example.org"]; "*" admits everybody',
        )
    if gateway.database != "sqlite" and gateway.key is None:
        yield (
            ("gateway", "key"),
            "it is missing: each machine on this database would make a master key of its own",
            'give all of them the same, as in key = { credential = "passerelle-key" }',
        )
    if not is_loopback(xmpp.host):
        yield (
            ("xmpp", "host"),
            f"component connections are not encrypted, and {xmpp.host} is another machine",
            "use a private network or a tunnel between the two",
        )


def _jids(found: Found) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for name, written in found.jids.items():
        here: Path = ("transport", name, "jid")
        jid = written.lower()
        if not is_domain(jid):
            yield here, f'"{written}" is no domain', 'write one of its own, such as "mail.example.org"'
        elif jid == found.xmpp.domain:
            yield (
                here,
                "this is the XMPP server's own domain",
                f'give the transport one of its own, such as "{name}.{jid}"',
            )
        elif jid in owners:
            yield here, f"[transport.{owners[jid]}] has the same JID", "give each transport a JID of its own"
        owners.setdefault(jid, name)


def _admin_listener(found: Found) -> Iterator[Finding]:
    if found.web.admin is None:
        return
    admin = found.web.admin
    if not admin.loopback:
        yield (
            ("web", "admin"),
            f"{admin.host} can be reached from other machines, and this listener asks for no password",
            f'write admin = "127.0.0.1:{admin.port}", and come by an SSH tunnel',
        )
    if admin == found.web.listen and admin.port:
        yield (
            ("web", "admin"),
            "[web].listen has the same address",
            f'give it a port of its own, such as "127.0.0.1:{admin.port % 65535 + 1}"',
        )


def _address_book(found: Found) -> Iterator[Finding]:
    book = found.book
    if not book.url:
        if book.username or book.password is not None:
            remedy = 'write url = "https://dav.example.org/team/" under [address_book]'
            yield ("address_book", "url"), "it is missing, so no address book is read", remedy
        return
    if not book.username:
        remedy = 'write username = "passerelle", as its server knows it'
        yield ("address_book", "username"), "it is missing", remedy
    if book.password is None:
        remedy = 'write password = { file = "/etc/passerelle/address-book" }'
        yield ("address_book", "password"), "it is missing", remedy
    place = urlsplit(book.url)
    exempt = is_allowed(place.scheme, place.hostname or "", place.port, found.gateway.fetch_allow)
    if place.scheme == "http" and not exempt:
        remedy = "write https://, or name the host in [gateway].fetch_allow if the way there is private"
        yield ("address_book", "url"), "the password would go there in clear", remedy


def _webhooks(found: Found) -> Iterator[Finding]:
    takers = [name for name, adapter in found.classes.items() if issubclass(adapter, TakesWebhooks)]
    if not takers:
        return
    who = " and ".join(f"[transport.{name}]" for name in takers)
    if found.web.listen is None:
        remedy = 'write listen = "127.0.0.1:8480" under [web], and let your web server pass /hooks/ on to it'
        yield ("web", "listen"), f"it is missing, and {who} must be reachable by web-hook", remedy
    if not found.gateway.public_url:
        remedy = 'write public_url = "https://gateway.example.org" under [gateway]'
        yield ("gateway", "public_url"), f"it is missing, and {who} tells it to the provider", remedy
