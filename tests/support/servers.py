"""Private ejabberd and PostgreSQL for tests, from Debian's packages. Prosody: `bridge.demo.prosody`."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from bridge.demo.private import LOOPBACK, PrivateServer, ServerError, answers
from bridge.demo.prosody import register_account, stream_header

EJABBERD = """
hosts: ["{domain}"]
loglevel: warning
auth_method: [internal]
auth_password_format: plain
default_db: mnesia
registration_timeout: infinity
listen:
  - port: {c2s_port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 1048576
    shaper: none
    access: everybody
    starttls_required: false
  # Without `global_routes: false` one connection would get the traffic of all hosts of the listener.
  - port: {component_port}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: everybody
    shaper: none
    global_routes: false
    hosts:
{components}
acl:
  local: {{ user_regexp: "" }}
  gateways: {{ server: [{gateways}] }}
access_rules:
  gateways: {{ allow: gateways }}
  everybody: {{ allow: all }}
  local: {{ allow: local }}
shaper: {{}}
modules:
  mod_adhoc: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_register: {{ ip_access: all, access: everybody, password_strength: 0, welcome_message: {{}} }}
  mod_roster: {{}}
  mod_version: {{}}
{extra_modules}
"""


class Ejabberd(PrivateServer):
    """ejabberd 23.01 with one host and some components (domain → secret). No epmd, no TLS."""

    name = "ejabberd"
    port_count = 2
    start_seconds = 60.0
    stop_seconds = 15.0

    def __init__(
        self, components: Mapping[str, str], *, domain: str = "localhost", extra_modules: str = ""
    ) -> None:
        super().__init__()
        self.domain = domain
        self.components = dict(components)
        self.host = LOOPBACK
        self.c2s_port, self.component_port = self.ports
        self._configuration = EJABBERD.format(
            domain=domain,
            c2s_port=self.c2s_port,
            component_port=self.component_port,
            components="\n".join(
                f'      "{name}": {{ password: "{secret}" }}' for name, secret in components.items()
            ),
            gateways=", ".join(f'"{name}"' for name in components),
            extra_modules=extra_modules,
        )

    def prepare(self) -> None:
        for name in ("spool", "home"):
            (self.folder / name).mkdir()
        (self.folder / "ejabberd.yml").write_text(self._configuration, encoding="utf-8")

    def command(self) -> Sequence[str]:
        # Erlang itself and not ejabberdctl, which refuses every user but root and ejabberd; and
        # without a node name there is no distribution, hence no epmd on a port of its own.
        spool = f'"{self.folder / "spool"}"'
        return ("erl", "-noinput", "+K", "true", "-mnesia", "dir", spool, "-s", "ejabberd")

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder / "home"),
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_LIBS": str(_erlang_libraries()),
            "ERL_CRASH_DUMP_BYTES": "0",
            "LANG": "C.UTF-8",
        }

    def ready(self) -> bool:
        # Its ports accept before mnesia is up; a stop in between would hang.
        return answers(self.c2s_port, stream_header("jabber:client", self.domain), b"</stream:features>")

    def add_user(self, name: str, password: str) -> str:
        """Make an account; answers the bare JID."""
        return register_account(self.c2s_port, self.domain, name, password)


def _erlang_libraries() -> Path:
    """Where Debian keeps ejabberd for Erlang; the folder's name has the machine's architecture."""
    for beams in Path("/usr/lib").glob("*/ejabberd-*/ebin"):
        return beams.parent.parent
    raise ServerError("ejabberd is not installed: `tools/install-packages.sh test` does it")


class Postgres(PrivateServer):
    """PostgreSQL with a cluster of its own; trusts everybody on loopback, and does not sync to disk."""

    name = "postgresql"
    user = "passerelle"

    def __init__(self) -> None:
        super().__init__()
        self.port = self.ports[0]
        self._numbers = itertools.count(1)

    def prepare(self) -> None:
        self.run_as_owner(
            str(_postgres_programs() / "initdb"),
            *("--pgdata", str(self.folder / "cluster"), "--username", self.user),
            *("--auth", "trust", "--encoding", "UTF8", "--no-sync", "--no-instructions"),
        )

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return (str(_postgres_programs() / "postgres"), "-D", str(self.folder / "cluster"), *options)

    def ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def ask_to_stop(self) -> None:
        """SIGINT is its "fast" stop: SIGTERM would wait for clients to leave."""
        self.signal_interrupt()

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@{LOOPBACK}:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and answer its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


def _postgres_programs() -> Path:
    """The newest installed version's programs: Debian keeps them out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not folders:
        raise ServerError("PostgreSQL is not installed: `tools/install-packages.sh test` does it")
    return folders[-1]
