"""A private Prosody 0.12: own folder, own loopback ports, nobody else's business. For demo and tests.

No TLS, no server-to-server, no default port. Debian's package is enough; nothing of its own service
or its configuration in /etc is read.
"""

import shutil
import socket
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from bridge.demo.private import LOOPBACK, PrivateServer, ServerError, answers

BASIC_MODULES = (
    "roster",
    "saslauth",
    "disco",
    "presence",
    "message",
    "iq",
    "register",
    "offline",
    "ping",
    "time",
    "version",
)
ARCHIVE_MODULES = ("mam", "carbons", "smacks")

# Nagle's algorithm is on by default and stalls pipelined streams by 44 ms; mod_posix refuses root and
# is of no use in the foreground; mod_limits (not loaded) would hold a client to 10 kB/s.
CONFIGURATION = """
data_path = {data}
plugin_paths = {{ {plugin_paths} }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s_port} }}
component_ports = {{ {component_port} }}
component_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
http_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ }}
c2s_direct_tls_ports = {{ }}
https_ports = {{ }}
log = {{ {{ levels = {{ min = "{log_level}" }}, to = "file", filename = {log_file} }} }}
network_backend = "epoll"
network_settings = {{ nagle = false }}
gc = {{ mode = "generational" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
allow_registration = true
registration_throttle_max = 100000
storage = "{storage}"
component_stanza_size_limit = 1024 * 1024
http_host = {domain}
http_external_url = "http://127.0.0.1:{http_port}/"
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s"; "tls"; "posix"; "admin_socket" }}
{extra_global}

VirtualHost {domain}
{extra_host}
{components}
{extra_hosts}
"""


class PrivateProsody(PrivateServer):
    """One Prosody with one host, some components (domain → secret) and open in-band registration.

    `storage` is "internal" (files in the folder, survive `restart` and `kill`) or "memory".
    `archive` adds message archive, carbons and stream management; `component_modules` run on the
    components. The `extra_…` texts are Lua, put at the top level, into the VirtualHost, and after the
    components.
    """

    name = "prosody"
    port_count = 3

    def __init__(
        self,
        components: Mapping[str, str],
        *,
        domain: str = "localhost",
        storage: str = "internal",
        archive: bool = False,
        modules: Sequence[str] = (),
        component_modules: Sequence[str] = (),
        plugin_paths: Sequence[str] = (),
        log_level: str = "info",
        extra_global: str = "",
        extra_host: str = "",
        extra_hosts: str = "",
    ) -> None:
        super().__init__()
        self.domain = domain
        self.components = dict(components)
        self.host = LOOPBACK
        self.c2s_port, self.component_port, self.http_port = self.ports
        all_modules = (*BASIC_MODULES, *(ARCHIVE_MODULES if archive else ()), *modules)
        self._configuration = CONFIGURATION.format(
            data=_quoted(str(self.folder / "data")),
            log_file=_quoted(str(self.folder / "prosody.log")),
            plugin_paths="; ".join(map(_quoted, plugin_paths)),
            c2s_port=self.c2s_port,
            component_port=self.component_port,
            http_port=self.http_port,
            log_level=log_level,
            storage=storage,
            domain=_quoted(domain),
            modules="; ".join(map(_quoted, all_modules)),
            extra_global=extra_global,
            extra_host=extra_host,
            components="\n".join(_component(*entry, component_modules) for entry in components.items()),
            extra_hosts=extra_hosts,
        )

    def prepare(self) -> None:
        if shutil.which("prosody") is None:
            raise ServerError("Prosody is not installed: `tools/install-packages.sh demo` does it")
        for name in ("data", "certs"):
            (self.folder / name).mkdir()
        (self.folder / "prosody.cfg.lua").write_text(self._configuration, encoding="utf-8")

    def command(self) -> Sequence[str]:
        return ("prosody", "--config", str(self.folder / "prosody.cfg.lua"), "-F")

    def ready(self) -> bool:
        client = stream_header("jabber:client", self.domain)
        if not answers(self.c2s_port, client, b"</stream:features>"):
            return False
        return all(
            answers(self.component_port, stream_header("jabber:component:accept", name), b" id=")
            for name in self.components
        )

    def add_user(self, name: str, password: str) -> str:
        """Make an account; answers the bare JID."""
        return register_account(self.c2s_port, self.domain, name, password)


def register_account(port: int, domain: str, name: str, password: str) -> str:
    """Make an account by in-band registration (XEP-0077) on a bare socket; answers the bare JID.

    Works on any private server whose plaintext stream offers it. Raises ServerError.
    """
    request = (
        f"<iq type='set' id='register' to={quoteattr(domain)}>"
        f"<query xmlns='jabber:iq:register'><username>{escape(name)}</username>"
        f"<password>{escape(password)}</password></query></iq>"
    )
    with socket.create_connection((LOOPBACK, port), 5) as peer:
        peer.settimeout(5)
        peer.sendall(stream_header("jabber:client", domain))
        _read_until(peer, b"</stream:features>")
        peer.sendall(request.encode())
        answer = _read_until(peer, b"register", b">")
        peer.sendall(b"</stream:stream>")
    if b"result" not in answer:
        raise ServerError(f"no account for {name}: {answer.decode(errors='replace')}")
    return f"{name}@{domain}"


def _quoted(text: str) -> str:
    """A Lua string: JSON's escapes for quotes and backslashes mean the same there."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _component(domain: str, secret: str, modules: Sequence[str]) -> str:
    enabled = f"    modules_enabled = {{ {'; '.join(map(_quoted, modules))} }}\n" if modules else ""
    return f"Component {_quoted(domain)}\n    component_secret = {_quoted(secret)}\n{enabled}"


def stream_header(namespace: str, to: str) -> bytes:
    """How a stream to a host begins, of clients or of components."""
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' to={quoteattr(to)} version='1.0'"
        f" xmlns:stream='http://etherx.jabber.org/streams'>"
    ).encode()


def _read_until(peer: socket.socket, *marks: bytes) -> bytes:
    heard = b""
    while not all(mark in heard for mark in marks):
        chunk = peer.recv(4096)
        if not chunk:
            raise ServerError(f"the stream was closed: {heard.decode(errors='replace')}")
        heard += chunk
    return heard
