"""A user's own mailbox as a value: what must be known of it, whether that works, and how it is kept secret.

Whether a host may be dialled at all is decided here too: users name hosts, and a gateway stands inside its
owner's network.
"""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aiosmtplib.errors import SMTPAuthenticationError, SMTPException, SMTPResponseException
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from adapters.email import addresses
from adapters.email.imap_client import ImapLogin, ImapTrouble, LoginRefused, connected
from adapters.email.replies import shortened
from adapters.email.smtp_pool import NoConnection, Pool, Smarthost
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

    def judge(self, host: str, port: int, tls: str) -> None:
        """Raises BadAccount."""
        if self.hosts:
            if host not in self.hosts:
                possible = ", ".join(self.hosts)
                raise BadAccount(f"Accounts at {host} cannot be used here. Possible: {possible}.")
            return
        if tls not in _TLS:
            raise BadAccount(f"Your password would go to {host} in clear. Choose implicit or starttls.")
        if port not in _USUAL_PORTS:
            raise BadAccount(f"Port {port} is not one that mail servers use. Check it.")

    async def resolve(self, host: str) -> str:
        """The host, if it may be dialled. Raises ImapTrouble."""
        if not self.hosts:
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
    """What a user is asked for."""
    return (
        AccountField("address", "Your email address"),
        AccountField("password", "Password, or an app password if your provider wants one", secret=True),
        AccountField("username", "Login name, if it is not the address", required=False),
        AccountField("imap_host", "IMAP server, if it is not imap. and your domain", required=False),
        AccountField("imap_port", "IMAP port", required=False),
        AccountField("imap_tls", "Encryption of IMAP", "implicit", choices=_TLS, required=False),
        AccountField("smtp_host", "SMTP server, if it is not smtp. and your domain", required=False),
        AccountField("smtp_port", "SMTP port", required=False),
        AccountField("smtp_tls", "Encryption of SMTP", "implicit", choices=_TLS, required=False),
        AccountField("smtp_username", "Login name for sending, if it is another", required=False),
        AccountField(
            "smtp_password", "Password for sending, if it is another", secret=True, required=False
        ),
    )


def from_form(fields: Mapping[str, str], places: Places, domains: Sequence[str]) -> OwnAccount:
    """What was filled in, as far as it can be right. `domains` are ours. Raises BadAccount."""
    filled = {name: text for name, text in fields.items() if text}
    for name, text in filled.items():
        if len(text) > _LONGEST or any(character in text for character in "\0\r\n"):
            raise BadAccount(f"What stands in {name} cannot be right: it is too long, or has line breaks.")
    try:
        address = addresses.canonical(filled.get("address", ""))
    except addresses.NotAnAddress as error:
        raise BadAccount(str(error)) from error
    domain = address.rpartition("@")[2]
    if domain in domains:
        raise BadAccount(f"Addresses at {domain} are this gateway's own. Register without an account.")
    if not filled.get("password"):
        raise BadAccount("The password is missing.")
    username = filled.get("username", address).strip()
    imap = _server("imap", filled, domain, username, filled["password"], places)
    smtp_user = filled.get("smtp_username", username).strip()
    smtp = _server("smtp", filled, domain, smtp_user, filled.get("smtp_password", filled["password"]), places)
    return OwnAccount(address, imap, smtp)


def _server(
    kind: str, filled: Mapping[str, str], domain: str, username: str, password: str, places: Places
) -> Server:
    tls = filled.get(f"{kind}_tls", "implicit").strip().lower()
    if tls not in (*_TLS, "none"):
        raise BadAccount(f"Encryption of {kind.upper()} is implicit or starttls.")
    port = filled.get(f"{kind}_port", "").strip() or str(_PORTS[kind].get(tls, _PORTS[kind]["starttls"]))
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadAccount(f"The {kind.upper()} port is a number, such as {_PORTS[kind]['implicit']}.")
    host = filled.get(f"{kind}_host", f"{kind}.{domain}").strip().lower()
    if not host.isascii() or any(character in host for character in " /@[]"):
        raise BadAccount(f"{host[:100]} is no host. Write it like {kind}.{domain}.")
    places.judge(host, int(port), tls)
    return Server(host, int(port), tls, username, password)


# --- whether it works ---


async def check(account: OwnAccount, places: Places, our_name: str) -> None:
    """Log in for reading, then for sending as this address. Raises BadAccount."""
    try:
        async with connected(account.imap_login(places)) as client:
            await client.select("INBOX")
    except LoginRefused as error:
        raise BadAccount(
            f"Your mailbox does not open: {error}. Check name and password; some providers want an app "
            "password, or IMAP to be switched on first."
        ) from error
    except ImapTrouble as error:
        raise BadAccount(f"Your mailbox cannot be reached: {error}.") from error
    await _check_sending(account, places, our_name)


async def _check_sending(account: OwnAccount, places: Places, our_name: str) -> None:
    host = account.smtp.host
    pool = Pool(account.smarthost(our_name), asyncio.get_running_loop().time)
    try:
        await places.resolve(host)
        async with pool.lease() as connection:
            answer = await connection.client.execute_command(
                b"MAIL", b"FROM:<%s>" % account.address.encode()
            )
            if not 200 <= answer.code < 300:
                said = shortened(answer.message)
                raise BadAccount(f"{host} does not let you send as {account.address}: {answer.code} {said}")
            await connection.client.execute_command(b"RSET")
    except ImapTrouble as error:
        raise BadAccount(f"Your mail cannot be sent: {error}.") from error
    except (NoConnection, SMTPException, OSError) as error:
        raise BadAccount(f"Your mail cannot be sent: {_why(host, error)}.") from error
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
