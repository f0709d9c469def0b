"""The tables of the settings file that are the gateway's own, as frozen models.

What a single value must look like is said here; how values fit together is in `checks`.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bridge.kit import Secret, Section

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SHORTEST_KEY = 32  # characters: 128 bits, were it written in hex


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where something listens. `host` is without brackets, also for IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def parse_host_port(value: Any) -> Any:
    """From text such as "127.0.0.1:8480" or "[::1]:8480". Raises ValueError with what to write instead."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or (":" in bare) != host.startswith("["):
        raise ValueError(f'"{value}" is no host and port; write "127.0.0.1:8480" or "[::1]:8480"')
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f'"{port}" is no port; write a number from 1 to 65535 after the colon')
    return HostPort(bare, int(port))


def is_domain(text: str) -> bool:
    """Whether this is a domain name, in lower case, in Unicode or ASCII form."""
    try:
        ascii_form = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    return len(ascii_form) <= 253 and bool(_DOMAIN.fullmatch(ascii_form))


def _domain(value: str) -> str:
    folded = value.lower().removesuffix(".")
    if not is_domain(folded):
        raise ValueError(f'"{value}" is no domain; write one such as "example.org"')
    return folded


def _member(value: str) -> str:
    """A domain or a bare JID, as `allow` and `admins` name people."""
    folded = value.lower()
    local, at, domain = folded.rpartition("@")
    if (at and not local) or "/" in value or re.search(r"\s", value) or "*" in value:
        raise ValueError(
            f'"{value}" is neither a domain nor a JID; names are matched exactly: "example.org" or '
            '"mira@example.org"'
        )
    return f"{local}{at}{_domain(domain)}"


def _admitted(value: str) -> str:
    return value if value == "*" else _member(value)


def _admin(value: str) -> str:
    if "@" not in value:
        raise ValueError(f'"{value}" is no JID; write one such as "admin@example.org"')
    return _member(value)


def _contact(value: str) -> str:
    scheme, colon, rest = value.partition(":")
    if not colon or not rest or scheme not in ("mailto", "xmpp", "https") or re.search(r"[\s<>]", value):
        raise ValueError(
            f'"{value}" is no address that people can ask; write one such as "mailto:help@example.org" or '
            '"xmpp:admin@example.org"'
        )
    return value


def _fetched_from(value: str) -> str:
    folded = value.lower()
    host, colon, port = folded.rpartition(":")
    with_port = bool(colon) and port.isascii() and port.isdigit() and (":" not in host or host.endswith("]"))
    bare = (host if with_port else folded).removeprefix("[").removesuffix("]")
    if "/" in value or not (is_domain(bare) or ":" in bare):
        raise ValueError(f'"{value}" is no host; write "upload.example.org" or "upload.example.org:5281"')
    return folded if with_port else bare


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError(f'"{value}" is relative; write the whole path, as in "/var/lib/passerelle"')
    return value


def _database(value: str) -> str:
    if value != "sqlite" and not value.startswith("postgresql://"):
        raise ValueError(
            'this database is not known; write "sqlite" for a file in data_dir, or "postgresql://user@host/name"'
        )
    return value


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f'"{value}" is no web address; write one such as "https://gateway.example.org"')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f'"{value}" is not encrypted; write https:// (plain http is for loopback only)')
    return value.rstrip("/")


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _SHORTEST_KEY:
        raise ValueError(
            f"the master key has under {_SHORTEST_KEY} characters; make one by: openssl rand -hex 32"
        )
    return value


Domain = Annotated[str, AfterValidator(_domain)]
Listen = Annotated[HostPort, BeforeValidator(parse_host_port)]


class GatewaySection(Section):
    data_dir: Annotated[Path, AfterValidator(_absolute)] = Path("/var/lib/passerelle")
    database: Annotated[str, AfterValidator(_database)] = "sqlite"
    key: Annotated[Secret, AfterValidator(_long_enough)] | None = None
    public_url: Annotated[str, AfterValidator(_public_url)] = ""  # no slash at its end
    admins: tuple[Annotated[str, AfterValidator(_admin)], ...] = ()
    # Whom users are to ask (mailto:, xmpp: or https:), shown in service discovery; empty: the admins.
    contact: tuple[Annotated[str, AfterValidator(_contact)], ...] = ()
    allow: tuple[Annotated[str, AfterValidator(_admitted)], ...] = ()  # domains, bare JIDs, "*"
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    keep_bodies_days: int = Field(default=30, ge=1)
    # Hosts (or host:port) that files may be fetched from though they are not on the public Internet.
    fetch_allow: tuple[Annotated[str, AfterValidator(_fetched_from)], ...] = ()


def _book_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise ValueError(f'"{value}" is no web address; write one such as "https://dav.example.org/team/"')
    return value


class AddressBookSection(Section):
    """An address book (CardDAV) whose people all users know."""

    url: Annotated[str, AfterValidator(_book_url)] = ""
    username: str = ""
    password: Secret | None = None
    refresh_minutes: int = Field(default=60, ge=1, le=10_080)


class XmppSection(Section):
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=5347, ge=1, le=65535)
    domain: Domain = Field(examples=['"example.org"'])


class WebSection(Section):
    listen: Listen | None = None  # web-hooks and files
    admin: Listen | None = None  # health and metrics: never public
