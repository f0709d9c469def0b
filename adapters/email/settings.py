"""What [transport.NAME] may say for email, and the sentences that help when it is wrong."""

import ipaddress
import re
from typing import Annotated, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from adapters.email.addresses import canonical, canonical_domain
from bridge.kit import Secret, Section, TransportSettings

HostPort = tuple[str, int]

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def read_host_port(text: str) -> HostPort:
    """`127.0.0.1:2525` or `[::1]:2525` as host and port. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'"{text}" is not HOST:PORT: write it like "127.0.0.1:2525" or "[::1]:2525"')
    if ":" in host and not text.startswith("["):
        raise ValueError(f'"{text}": an IPv6 address stands in brackets, like "[::1]:2525"')
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(
            f'"{text}" is no address or network: write it like "192.0.2.25" or "192.0.2.0/28"'
        ) from None


def _domain(text: str) -> str:
    try:
        return canonical_domain(text)
    except ValueError:
        raise ValueError(f'"{text}" is no domain: write it like "chat.example.org"') from None


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ValueError(
                f'"{text}" is no host: write its name or number alone; the port is another key'
            ) from None
    return host


Domain = Annotated[str, AfterValidator(_domain)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Inbound(Section):
    """[….inbound]: where mail servers hand mail to us."""

    listen: str
    protocol: Literal["smtp", "lmtp"] = "smtp"
    trusted: tuple[Network, ...] = ()
    authserv_id: str = ""
    verify: bool | None = None
    on_fail: Literal["mark", "refuse"] = "mark"
    max_megabytes: int = Field(25, ge=1, le=1000)

    @field_validator("listen")
    @classmethod
    def _listen_is_host_and_port(cls, text: str) -> str:
        read_host_port(text)
        return text

    @property
    def verifies(self) -> bool:
        """Whether mail from other hosts than relays is taken, and its senders checked by us."""
        if self.verify is not None:
            return self.verify
        return self._open_to_others and not self.trusted and self.protocol == "smtp"

    @property
    def _open_to_others(self) -> bool:
        return not is_loopback(read_host_port(self.listen)[0])

    @model_validator(mode="after")
    def _senders_are_known_or_checked(self) -> Self:
        if self.verify and self.protocol == "lmtp":
            raise ValueError(
                "verify: LMTP comes from your own mail server, which has checked the sender already. "
                'Name it in authserv_id, or set protocol = "smtp"'
            )
        if self._open_to_others and not self.trusted and not self.verifies:
            raise ValueError(
                f'listen = "{self.listen}" is open to other machines, and nobody checks senders: name the '
                'relays that may hand mail over, like trusted = ["192.0.2.25"], '
                + ("" if self.protocol == "lmtp" else "set verify = true, ")
                + "or listen on 127.0.0.1"
            )
        return self


class Login(Section):
    """A server that we log in to."""

    host: Host = "127.0.0.1"
    port: Port = 25
    tls: Literal["none", "starttls", "implicit"] = "none"
    username: str = ""
    password: Secret = SecretStr("")

    @model_validator(mode="after")
    def _login_is_whole_and_private(self) -> Self:
        if bool(self.username) != bool(self.password.get_secret_value()):
            missing = "password" if self.username else "username"
            raise ValueError(f"username and password go together: set {missing} too, or leave both out")
        if self.username and self.tls == "none" and not is_loopback(self.host):
            raise ValueError(
                f'the password would go to {self.host} in clear: set tls = "starttls" or tls = "implicit"'
            )
        return self


class Dkim(Section):
    """[….outbound.dkim]: sign our mail, where the smarthost does not."""

    domain: Domain
    selector: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    key: Secret

    @field_validator("key")
    @classmethod
    def _key_is_a_private_key(cls, key: SecretStr) -> SecretStr:
        try:
            found = load_pem_private_key(key.get_secret_value().encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            found = None
        if not isinstance(found, RSAPrivateKey) or found.key_size < 1024:
            raise ValueError(
                "this is no RSA key without a password, in PEM: "
                "make one with `openssl genrsa -out dkim.pem 2048`, and set key = { file = … }"
            )
        return key


class Outbound(Login):
    """[….outbound]: the smarthost that takes our mail."""

    dkim: Dkim | None = None
    reply_token: bool = False


class Mailbox(Login):
    """[….mailbox]: a catch-all mailbox, fetched by IMAP."""

    host: Host
    port: Port = 993
    tls: Literal["none", "starttls", "implicit"] = "implicit"
    folder: str = Field("INBOX", min_length=1)
    max_megabytes: int = Field(25, ge=1, le=60)

    @model_validator(mode="after")
    def _has_a_login(self) -> Self:
        if not self.username:
            raise ValueError("username is missing: a mailbox is opened with a name and a password")
        return self


class AccountProvider(Section):
    """[[….accounts.provider]]: where the mailboxes of some domains are, so that users need not know."""

    domains: tuple[Domain, ...] = Field(min_length=1)
    imap: str
    imap_tls: Literal["none", "starttls", "implicit"] = "implicit"
    smtp: str
    smtp_tls: Literal["none", "starttls", "implicit"] = "implicit"
    proves: bool = False  # a login there proves that an address is the user's; otherwise a code is mailed

    @field_validator("imap", "smtp")
    @classmethod
    def _is_host_and_port(cls, text: str) -> str:
        _host(read_host_port(text)[0])
        return text.lower()

    @model_validator(mode="after")
    def _passwords_go_in_private(self) -> Self:
        for place, tls in ((self.imap, self.imap_tls), (self.smtp, self.smtp_tls)):
            if tls == "none" and not is_loopback(read_host_port(place)[0]):
                raise ValueError(f'passwords would go to {place} in clear: choose "starttls" or "implicit"')
        return self


class Accounts(Section):
    """[….accounts]: whether users may bring mailboxes of their own, and where those may be."""

    allowed: bool = False
    hosts: tuple[Host, ...] = ()  # the only servers, wherever they are; empty: any on the public Internet
    domains: tuple[Domain, ...] = ()  # the only domains of addresses; empty: any
    provider: tuple[AccountProvider, ...] = ()
    most: int = Field(default=200, ge=1, le=5000)


class EmailSettings(TransportSettings):
    """[transport.NAME] with adapter = "email"."""

    domains: tuple[Domain, ...] = Field(min_length=1)
    address: str
    user_domain: str = ""
    coalesce_seconds: float = Field(30.0, ge=0, le=120)
    strangers: Literal["everyone", "ask", "contacts"] = "ask"
    spam: Literal["mark", "hold", "ignore"] = "mark"  # what the server before us calls so, by X-Spam-Flag
    inbound: Inbound | None = None
    outbound: Outbound = Outbound()
    mailbox: Mailbox | None = None
    accounts: Accounts = Accounts()

    @field_validator("user_domain")
    @classmethod
    def _user_domain_is_a_host(cls, text: str) -> str:
        # A chat server's host may lack a dot ("localhost"), which no mail domain does.
        return _host(text).lower() if text else ""

    @model_validator(mode="after")
    def _address_leads_to_us(self) -> Self:
        if "{user}" not in self.address:
            raise ValueError(f'address = "{self.address}" is the same for everybody: put {{user}} into it')
        if len(self.domains) > 1 and "{domain}" not in self.address:
            raise ValueError(
                f'address = "{self.address}" serves several domains: write "{{user}}@{{domain}}"'
            )
        filled = self.address.replace("{user}", "user").replace("{domain}", self.domains[0])
        try:
            domain = canonical(filled).rpartition("@")[2]
        except ValueError:
            raise ValueError(
                f'address = "{self.address}" makes no mail address: '
                f'write it like "{{user}}@{self.domains[0]}"'
            ) from None
        if domain not in self.domains:
            raise ValueError(f'address is at {domain}, whose mail is not ours: add "{domain}" to domains')
        return self

    @model_validator(mode="after")
    def _signs_what_we_send(self) -> Self:
        dkim = self.outbound.dkim
        if dkim is not None and not any(f".{one}".endswith(f".{dkim.domain}") for one in self.domains):
            raise ValueError(
                f'outbound.dkim.domain = "{dkim.domain}" signs none of our mail, which is from '
                f"{self.domains[0]}: set it to that domain, or to one above it"
            )
        return self
