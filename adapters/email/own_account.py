"""A user's own mailbox as a value: what must be known of it, whether that works, and how it is kept secret.

Whether a host may be dialled at all is decided here too: users name hosts, and a gateway stands inside its
owner's network.
"""

import asyncio
import base64
import hashlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aiosmtplib.errors import SMTPAuthenticationError, SMTPException, SMTPResponseException
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from adapters.email import addresses, providers
from adapters.email.imap_client import ImapLogin, ImapTrouble, LoginRefused, connected
from adapters.email.providers import Provider, Spot
from adapters.email.replies import shortened
from adapters.email.smtp_pool import NoConnection, Pool, Smarthost
from bridge.i18n import tr
from bridge.kit import may_dial
from bridge.ports import AccountField, BadAccount

_PORTS = {"imap": {"implicit": 993, "starttls": 143}, "smtp": {"implicit": 465, "starttls": 587}}
_USUAL_PORTS = frozenset({143, 993, 25, 465, 587, 2525})
_TLS = ("implicit", "starttls")
_LONGEST = 512  # characters of a field
_PATIENCE = 15.0  # seconds for each step of a check

Lookup = Callable[[str], Awaitable[Sequence[str]]]


async def look_up(host: str) -> Sequence[str]:
    """The IP addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Places:
    """Where accounts may be: at these hosts, else anywhere on the public Internet, but only behind TLS that
    proves the host's name, so that a name which changes its address between two looks wins nothing."""

    hosts: Sequence[str] = ()
    lookup: Lookup = look_up
    named: Mapping[str, Provider] = field(default_factory=dict)  # by domain, as the settings say
    domains: Sequence[str] = ()  # of addresses; empty: any

    def judge(self, host: str, port: int, tls: str) -> None:
        """Raises BadAccount."""
        if self._is_named(host, port, tls):
            return
        if self.hosts:
            if host not in self.hosts:
                possible = ", ".join(self.hosts)
                raise BadAccount(
                    tr(
                        "Accounts at {host} cannot be used here. Possible: {possible}.",
                        host=host,
                        possible=possible,
                    )
                )
            return
        if tls not in _TLS:
            raise BadAccount(
                tr("Your password would go to {host} in clear. Choose implicit or starttls.", host=host)
            )
        if port not in _USUAL_PORTS:
            raise BadAccount(tr("Port {port} is not one that mail servers use. Check it.", port=port))

    def _is_named(self, host: str, port: int, tls: str) -> bool:
        spot = Spot(host, port, tls)
        return any(spot in (one.imap, one.smtp) for one in self.named.values())

    def _may_be_anywhere(self, host: str) -> bool:
        """Whether the admin has named the host: then it may be inside, too."""
        named = (spot.host for one in self.named.values() for spot in (one.imap, one.smtp))
        return host in self.hosts or host in named

    async def guess(self, domain: str) -> Provider:
        """Where the servers of a domain's addresses probably are."""
        return await providers.guess(domain, self.named, self.hosts, self._is_reachable)

    async def _is_reachable(self, host: str) -> bool:
        try:
            await self.resolve(host)
        except ImapTrouble:
            return False
        return True

    async def resolve(self, host: str) -> str:
        """The host, if it may be dialled. Raises ImapTrouble."""
        if not self._may_be_anywhere(host):
            try:
                found = await self.lookup(host)
            except OSError as error:
                raise ImapTrouble(f"there is no host {host}: check the spelling") from error
            if not found or not all(may_dial(one) for one in found):
                raise ImapTrouble(f"{host} is no host on the public Internet")
        return host


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    tls: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """Everything that is needed to read and to send as this address."""

    address: str  # canonical
    imap: Server
    smtp: Server

    @property
    def mailbox(self) -> str:
        """Which mailbox it is, as a short name that tells nothing: the same for another password."""
        where = f"{self.imap.host} {self.imap.port} {self.imap.username}"
        return hashlib.sha256(where.encode()).hexdigest()[:12]

    def with_password(self, password: str) -> "OwnAccount":
        """With another password; that for sending, too, unless it is one of its own."""
        smtp = self.smtp
        if smtp.password == self.imap.password:
            smtp = replace(smtp, password=password)
        return replace(self, imap=replace(self.imap, password=password), smtp=smtp)

    def imap_login(self, places: Places, context: ssl.SSLContext | None = None) -> ImapLogin:
        one = self.imap
        return ImapLogin(
            one.host,
            one.port,
            one.tls,
            one.username,
            one.password,
            resolve=places.resolve,
            tls_context=context,
        )

    def smarthost(self, our_name: str) -> Smarthost:
        one = self.smtp
        return Smarthost(
            one.host,
            one.port,
            one.tls,
            one.username,
            one.password,
            our_name,
            connect_timeout=_PATIENCE,
            command_timeout=30.0,
            data_timeout=120.0,
            connections=2,
        )


# --- the form ---


def form() -> Sequence[AccountField]:
    """What a user is asked for. Most need the first two alone."""
    return (
        AccountField("address", "Your email address"),
        AccountField("password", "Password, or an app password if your provider wants one", secret=True),
        AccountField("username", "Login name, if it is not the address", required=False),
        AccountField("imap_host", "IMAP server, if it is not found automatically", required=False),
        AccountField("imap_port", "IMAP port", required=False),
        AccountField("imap_tls", "Encryption of IMAP", choices=("", *_TLS), required=False),
        AccountField("smtp_host", "SMTP server, if it is not found automatically", required=False),
        AccountField("smtp_port", "SMTP port", required=False),
        AccountField("smtp_tls", "Encryption of SMTP", choices=("", *_TLS), required=False),
        AccountField("smtp_username", "Login name for sending, if it is another", required=False),
        AccountField("smtp_password", "Password for sending, if it is another", secret=True, required=False),
    )


def address_in(fields: Mapping[str, str], places: Places, domains: Sequence[str]) -> str:
    """The canonical address that was filled in, if accounts of its kind are served here. `domains` are
    ours. Raises BadAccount."""
    try:
        address = addresses.canonical(fields.get("address", ""))
    except addresses.NotAnAddress as error:
        raise BadAccount(str(error)) from error
    domain = address.rpartition("@")[2]
    if domain in domains:
        raise BadAccount(
            tr("Addresses at {domain} are this gateway's own. Register without an account.", domain=domain)
        )
    if places.domains and domain not in places.domains:
        possible = ", ".join(places.domains)
        raise BadAccount(
            tr(
                "Accounts at {host} cannot be used here. Possible: {possible}.",
                host=domain,
                possible=possible,
            )
        )
    if domain in providers.CLOSED and domain not in places.named:
        raise BadAccount(providers.CLOSED[domain])
    return address


def from_form(
    fields: Mapping[str, str], places: Places, domains: Sequence[str], provider: Provider | None = None
) -> OwnAccount:
    """What was filled in, as far as it can be right; `provider` fills what was left out. `domains` are
    ours. Raises BadAccount."""
    filled = {name: text for name, text in fields.items() if text}
    for name, text in filled.items():
        if len(text) > _LONGEST or any(character in text for character in "\0\r\n"):
            raise BadAccount(
                tr("What stands in {name} cannot be right: it is too long, or has line breaks.", name=name)
            )
    address = address_in(filled, places, domains)
    if not filled.get("password"):
        raise BadAccount(tr("The password is missing."))
    usual = provider or providers.usual(address.rpartition("@")[2])
    username = filled.get("username", address).strip()
    imap = _server("imap", filled, usual.imap, username, filled["password"], places)
    smtp_user = filled.get("smtp_username", username).strip()
    smtp = _server(
        "smtp", filled, usual.smtp, smtp_user, filled.get("smtp_password", filled["password"]), places
    )
    return OwnAccount(address, imap, smtp)


def _server(
    kind: str, filled: Mapping[str, str], usual: Spot, username: str, password: str, places: Places
) -> Server:
    host = filled.get(f"{kind}_host", usual.host).strip().lower()
    if not host.isascii() or any(character in host for character in " /@[]"):
        raise BadAccount(tr("{host} is no host. Write it like {usual}.", host=host[:100], usual=usual.host))
    as_usual = host == usual.host
    tls = filled.get(f"{kind}_tls", usual.tls if as_usual else "implicit").strip().lower()
    if tls not in (*_TLS, "none"):
        raise BadAccount(tr("Encryption of {protocol} is implicit or starttls.", protocol=kind.upper()))
    of_tls = _PORTS[kind].get(tls, _PORTS[kind]["starttls"])
    port = filled.get(f"{kind}_port", "").strip() or str(
        usual.port if as_usual and tls == usual.tls else of_tls
    )
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadAccount(
            tr(
                "The {protocol} port is a number, such as {port}.",
                protocol=kind.upper(),
                port=_PORTS[kind]["implicit"],
            )
        )
    places.judge(host, int(port), tls)
    return Server(host, int(port), tls, username, password)


def is_proven(account: OwnAccount, provider: Provider) -> bool:
    """Whether logging in has proven that the address is the user's: at the very server that the settings
    trust with its domain, and under the name that belongs to the address there."""
    local, _, domain = account.address.rpartition("@")
    at_home = Spot(account.imap.host, account.imap.port, account.imap.tls) == provider.imap
    name = account.imap.username.lower()
    own_name = name == f"{local}@{domain}".lower() or (provider.alone and name == local.lower())
    return provider.proves and at_home and own_name


# --- whether it works ---


async def check(account: OwnAccount, places: Places, our_name: str) -> None:
    """Log in for reading, then for sending as this address. Raises BadAccount."""
    try:
        async with connected(account.imap_login(places)) as client:
            await client.select("INBOX")
    except LoginRefused as error:
        raise BadAccount(
            tr(
                "Your mailbox does not open: {why}. Check name and password; some providers want an app "
                "password, or IMAP to be switched on first.",
                why=str(error),
            )
        ) from error
    except ImapTrouble as error:
        raise BadAccount(tr("Your mailbox cannot be reached: {why}.", why=str(error))) from error
    await _check_sending(account, places, our_name)


async def _check_sending(account: OwnAccount, places: Places, our_name: str) -> None:
    host = account.smtp.host
    pool = Pool(account.smarthost(our_name), asyncio.get_running_loop().time)
    try:
        await places.resolve(host)
        async with pool.lease() as connection:
            answer = await connection.client.execute_command(b"MAIL", b"FROM:<%s>" % account.address.encode())
            if not 200 <= answer.code < 300:
                said = shortened(answer.message)
                raise BadAccount(
                    tr(
                        "{host} does not let you send as {address}: {answer}",
                        host=host,
                        address=account.address,
                        answer=f"{answer.code} {said}",
                    )
                )
            await connection.client.execute_command(b"RSET")
    except ImapTrouble as error:
        raise BadAccount(tr("Your mail cannot be sent: {why}.", why=str(error))) from error
    except (NoConnection, SMTPException, OSError) as error:
        raise BadAccount(tr("Your mail cannot be sent: {why}.", why=_why(host, error))) from error
    finally:
        await pool.close()


def _why(host: str, error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, NoConnection) else error
    if isinstance(cause, SMTPAuthenticationError):
        return f"{host} refused the login: check name and password for sending"
    if isinstance(cause, SMTPResponseException):
        return f"{host} says {cause.code} {shortened(cause.message)}"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: check host and port"
    if isinstance(cause, ssl.SSLError) or isinstance(getattr(cause, "__cause__", None), ssl.SSLError):
        return f"no TLS with {host}: check the port and the kind of encryption"
    return f"there is no connection to {host}: check host and port"


# --- at rest ---


class Unreadable(Exception):
    """The key is another than the one that it was sealed with."""


class Seal:
    """Encrypts accounts for the record. The first key seals, each of them opens: so keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])

    def close(self, account: OwnAccount) -> bytes:
        return self._fernet.encrypt(json.dumps(asdict(account)).encode())

    def open(self, sealed: bytes) -> OwnAccount:
        """Raises Unreadable."""
        try:
            values: dict[str, Any] = json.loads(self._fernet.decrypt(sealed))
            return OwnAccount(values["address"], Server(**values["imap"]), Server(**values["smtp"]))
        except (InvalidToken, ValueError, KeyError, TypeError) as error:
            raise Unreadable from error
