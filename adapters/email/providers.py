"""Where the mail servers of an address probably are: as the settings say, as large providers say, else by
their usual names. Asks nobody but the name look-up that it is given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.i18n import tr


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one server listens, and how it is spoken to."""

    host: str
    port: int
    tls: str  # implicit, starttls, none


@dataclass(frozen=True, slots=True)
class Provider:
    """The servers of some domains."""

    imap: Spot
    smtp: Spot
    proves: bool = False  # who logs in there under an address of these domains has proven that it is theirs
    alone: bool = True  # no other domain's people log in there by their local part alone


def _of(imap: str, smtp: str, *, port: int = 465) -> Provider:
    tls = "implicit" if port == 465 else "starttls"
    return Provider(Spot(imap, 993, "implicit"), Spot(smtp, port, tls))


_GMAIL = _of("imap.gmail.com", "smtp.gmail.com")
_OUTLOOK = _of("outlook.office365.com", "smtp-mail.outlook.com", port=587)
_YAHOO = _of("imap.mail.yahoo.com", "smtp.mail.yahoo.com")
_ICLOUD = _of("imap.mail.me.com", "smtp.mail.me.com", port=587)
_GMX = _of("imap.gmx.net", "mail.gmx.net")
_FASTMAIL = _of("imap.fastmail.com", "smtp.fastmail.com")

# Those whose servers have other names than imap. and smtp. before the domain.
_LARGE: Mapping[str, Provider] = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), _GMAIL),
    **dict.fromkeys(("outlook.com", "outlook.de", "outlook.fr", "hotmail.com", "hotmail.de"), _OUTLOOK),
    **dict.fromkeys(
        ("hotmail.fr", "hotmail.it", "hotmail.co.uk", "live.com", "live.de", "msn.com"), _OUTLOOK
    ),
    **dict.fromkeys(("yahoo.com", "yahoo.de", "yahoo.fr", "yahoo.it", "yahoo.es", "yahoo.co.uk"), _YAHOO),
    **dict.fromkeys(("ymail.com", "rocketmail.com"), _YAHOO),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), _ICLOUD),
    **dict.fromkeys(("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.eu"), _GMX),
    **dict.fromkeys(("fastmail.fm", "fastmail.net"), _FASTMAIL),
    "gmx.com": _of("imap.gmx.com", "mail.gmx.com"),
    "posteo.de": _of("posteo.de", "posteo.de"),
    "posteo.net": _of("posteo.de", "posteo.de"),
    "t-online.de": _of("secureimap.t-online.de", "securesmtp.t-online.de"),
    "freenet.de": _of("mx.freenet.de", "mx.freenet.de"),
    "libero.it": _of("imapmail.libero.it", "smtp.libero.it"),
}

# Those that let no other program in by a password, and what to do instead.
CLOSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("proton.me", "protonmail.com", "pm.me"),
        tr("Proton Mail is read by its own programs only. Let mail be forwarded from there instead."),
    ),
    **dict.fromkeys(
        ("tutanota.com", "tuta.com", "tuta.io", "tutanota.de"),
        tr("Tuta is read by its own programs only. Use another address."),
    ),
}

Reachable = Callable[[str], Awaitable[bool]]


async def guess(
    domain: str, named: Mapping[str, Provider], hosts: Sequence[str], reachable: Reachable
) -> Provider:
    """The servers of a domain. `named` are the settings' own, by domain; `hosts` the only ones that may be
    used, if there are any; `reachable` says whether a host is there and may be dialled."""
    if domain in named:
        return named[domain]
    if domain in _LARGE:
        return _LARGE[domain]
    imap = await _first((f"imap.{domain}", f"mail.{domain}"), hosts, reachable)
    smtp = await _first((f"smtp.{domain}", f"mail.{domain}"), hosts, reachable)
    return usual(domain, imap, smtp)


def usual(domain: str, imap: str = "", smtp: str = "") -> Provider:
    return _of(imap or f"imap.{domain}", smtp or f"smtp.{domain}")


async def _first(names: Sequence[str], hosts: Sequence[str], reachable: Reachable) -> str:
    """The first of these that can be it, or the only host there is; empty if none."""
    if hosts:
        return next((one for one in names if one in hosts), hosts[0] if len(hosts) == 1 else "")
    for one in names:
        if await reachable(one):
            return one
    return ""
