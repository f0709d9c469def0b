"""Checks as the MX: SPF (RFC 7208), DKIM (RFC 6376) and DMARC of one mail. Blocks: for a thread.

DMARC's organizational domain is found by walking up the DNS tree, as the revised DMARC says: no list of
public suffixes is needed, and what is asked is bounded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dkim
import spf

from adapters.email.addresses import NotAnAddress, canonical_domain
from adapters.email.authenticity import Outcome, Verdict
from adapters.email.headers import Head
from adapters.email.resolving import Resolver, Unresolved
from bridge.i18n import tr

_SIGNATURES = 5  # that are looked at; a mail rarely has more than two
_WALK = 8  # labels of a domain that are walked up
_TAG = re.compile(r"\s*([a-z]{1,10})\s*=\s*([^;]*?)\s*(?:;|$)", re.IGNORECASE)
_LENGTH_TAG = re.compile(rb"[;\s]l\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a mail came."""

    peer: str  # IP address of the host that handed it over
    helo: str
    sender: str  # envelope sender; empty for the null sender


@dataclass(frozen=True, slots=True)
class _Checked:
    """What one method proved: a domain, or nothing, perhaps only for now."""

    domain: str = ""
    refused: bool = False  # SPF fail: the domain's owner says that this host is none of theirs
    later: bool = False


@dataclass(frozen=True, slots=True)
class _Policy:
    """A DMARC record, and where it stood."""

    domain: str
    tags: dict[str, str]


def verify(raw: bytes, head: Head, arrival: Arrival, resolver: Resolver) -> Verdict:
    """The verdict on a mail. Never raises for anything that mail or DNS hold."""
    author = _domain(head.author()[1])
    checks = [_spf(arrival, resolver), *_dkim(raw, head, resolver)]
    domains = tuple(dict.fromkeys(one.domain for one in checks if one.domain))
    if not author:
        return Verdict(Outcome.NONE, domains=domains)
    try:
        policies = _walk(author, resolver)
        aligned = any(_aligned(one, author, policies, resolver) for one in checks if one.domain)
    except Unresolved:
        return Verdict(Outcome.LATER, f"the name servers of {author} do not answer", domains)
    if aligned:
        return Verdict(Outcome.PASS, domains=domains)
    if any(one.later for one in checks):
        return Verdict(Outcome.LATER, f"the name servers of {author} do not answer", domains)
    if policies:
        return Verdict(Outcome.FAIL, tr("{domain} does not vouch for it", domain=author), domains)
    if checks[0].refused:
        why = tr("{domain} does not send from {host}", domain=author, host=arrival.peer)
        return Verdict(Outcome.FAIL, why, domains)
    return Verdict(Outcome.NONE, domains=domains)


def _domain(address: str) -> str:
    try:
        return canonical_domain(address.rpartition("@")[2])
    except NotAnAddress:
        return ""


# --- SPF ---


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """pyspf with our resolver: it asks a global function otherwise."""

    def __init__(self, arrival: Arrival, resolver: Resolver) -> None:
        super().__init__(i=arrival.peer, s=arrival.sender, h=arrival.helo)
        self._resolver = resolver

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        try:
            found = self._resolver(str(name).rstrip("."), qtype)
        except Unresolved as error:
            raise spf.TempError("DNS did not answer") from error
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("too many names that do not exist")
        if qtype == "TXT":
            return [(text.encode("utf-8", "surrogateescape"),) for text in found]
        if qtype == "MX":
            return [_exchange(one) for one in found]
        return list(found)


def _exchange(record: str) -> tuple[int, str]:
    preference, _, host = record.partition(" ")
    return int(preference) if preference.isdigit() else 0, host.strip()


def _spf(arrival: Arrival, resolver: Resolver) -> _Checked:
    try:
        query = _Query(arrival, resolver)
        result = query.check()[0]
    except Exception:
        # pyspf raises what it meets: IndexError for `@`, UnicodeError for names that are none.
        return _Checked()
    domain = _domain(str(query.d)) if result == "pass" else ""
    return _Checked(domain, refused=result == "fail", later=result == "temperror")


# --- DKIM ---


def _dkim(raw: bytes, head: Head, resolver: Resolver) -> list[_Checked]:
    signatures = head.every("dkim-signature")[:_SIGNATURES]
    return [_signature(raw, place, signature, resolver) for place, signature in enumerate(signatures)]


def _signature(raw: bytes, place: int, signature: str, resolver: Resolver) -> _Checked:
    if _LENGTH_TAG.search(b";" + signature.encode("utf-8", "replace")):
        return _Checked()  # signs the beginning only: anybody may have written the rest

    def key(name: bytes, timeout: int = 0) -> bytes | None:
        found = resolver(name.decode("ascii", "replace").rstrip("."), "TXT")
        return found[0].encode("utf-8", "surrogateescape") if found else None

    try:
        checker = dkim.DKIM(raw, minkey=1024)
        good = checker.verify(place, dnsfunc=key)
    except Unresolved:
        return _Checked(later=True)
    except Exception:
        # dkimpy raises ValueErrors, KeyErrors and binascii's for signatures that are none.
        return _Checked()
    return _Checked(_domain(checker.domain.decode("ascii", "replace"))) if good else _Checked()


# --- DMARC ---


def _walk(domain: str, resolver: Resolver) -> list[_Policy]:
    """The DMARC records at a domain and above it, nearest first."""
    labels = domain.split(".")
    names = [".".join(labels[place:]) for place in range(len(labels) - 1)]
    if len(names) > _WALK:
        names = [names[0], *names[1 - _WALK :]]
    found = []
    for name in names:
        tags = _record(resolver(f"_dmarc.{name}", "TXT"))
        if tags is not None:
            found.append(_Policy(name, tags))
            if tags.get("psd", "").lower() == "n":
                break
    return found


def _record(texts: Sequence[str]) -> dict[str, str] | None:
    """The one DMARC record among TXT records; None if there is none, or more than one."""
    records = [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text[:20])]
    if len(records) != 1:
        return None
    return {one[1].lower(): one[2] for one in _TAG.finditer(records[0][:2000])}


def _organization(domain: str, policies: Sequence[_Policy]) -> str:
    """The organizational domain: the topmost that has a record; below a public suffix's own record the
    next one down."""
    if not policies:
        return domain
    top = policies[-1]
    if top.tags.get("psd", "").lower() == "y" and top.domain != domain:
        return ".".join(domain.split(".")[-top.domain.count(".") - 2 :])
    return top.domain


def _aligned(check: _Checked, author: str, policies: Sequence[_Policy], resolver: Resolver) -> bool:
    if check.domain == author:
        return True
    # Strict alignment is rare and set by who wants it for both methods.
    tags = policies[0].tags if policies else {}
    if "s" in (tags.get("adkim", "r").lower(), tags.get("aspf", "r").lower()):
        return False
    ours = _organization(author, policies)
    return ours == _organization(check.domain, _walk(check.domain, resolver))
