"""`passerelle users …`: who is registered with which transport."""

import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from typer import echo

from bridge.cli.output import print_facts, print_table, settings_or_trouble
from bridge.cli.record import reading, writing
from bridge.cli.trouble import Trouble
from bridge.model import Line
from bridge.ports import Adapter, BadAddress, shared_addresses
from bridge.settings import Secrets, Settings
from bridge.settings.build import adapter_for
from bridge.store import own_addresses, people

_BARE_JID = re.compile(r"[^\s@/\"&'<>:]+@[^\s@/]+")
_NO_KEY = bytes(32)  # the adapter is asked for addresses only: nothing is signed here


def list_users(config: Path) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with reading(settings) as connection:
        lines = people.all_lines(connection)
        besides = own_addresses.besides(connection)
    rows = [(line.jid, line.transport, _addresses(line, besides), line.name) for line in lines]
    print_table(("User", "Transport", "Address", "Name"), rows, "Nobody is registered yet.")


def show_user(config: Path, jid: str) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with reading(settings) as connection:
        summary = people.summary_of(connection, bare_jid(jid))
        besides = own_addresses.besides(connection)
    if summary is None:
        raise _nobody(jid)
    facts = [("user", summary.jid)]
    facts += [(one.transport, f"{_addresses(one, besides)}  {one.name}".rstrip()) for one in summary.lines]
    facts += [("contacts", str(summary.contacts)), ("messages", str(summary.messages))]
    print_facts(facts)


def add_user(config: Path, jid: str, transport: str, *, name: str, address: str) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    _require_transport(settings, transport)
    bare = bare_jid(jid)
    adapter = adapter_for(settings, transport, _NO_KEY)
    candidates = _candidates(adapter, bare, address)
    with writing(settings) as connection:
        present = people.line_of(connection, transport, bare)
        kept_name = name or (present.name if present else "")
        try:
            line = people.register(
                connection,
                transport,
                bare,
                kept_name,
                candidates,
                time.time(),
                move=bool(address),
                shared=shared_addresses(adapter),
            )
        except people.AddressTaken as error:
            raise Trouble(
                f"Every address that {bare} could have on {transport} is somebody else's."
            ) from error
    done = "is registered" if present is None else "is changed"
    echo(f"{line.jid} {done}: {line.address} on {transport}.")


def remove_user(config: Path, jid: str, transport: str, *, yes: bool) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    bare = bare_jid(jid)
    with reading(settings) as connection:
        lines = [line for line in people.all_lines(connection) if line.jid == bare]
    own = [line.transport for line in lines if transport in ("", line.transport)]
    if not own:
        raise _nobody(jid, transport)
    if not yes and not _confirmed(
        f"Remove {bare} from {', '.join(own)}, with all messages and contacts there?"
    ):
        raise Trouble("Nothing was removed.")
    with writing(settings) as connection:
        for one in own:
            people.leave(connection, one, bare, time.time())
    echo(f"{bare} is removed from {', '.join(own)}.")


def _addresses(line: Line, besides: Mapping[int, Sequence[str]]) -> str:
    """The line's own, and those that it has besides."""
    return ", ".join((line.address, *besides.get(line.id, ())))


def _candidates(adapter: Adapter, jid: str, address: str) -> list[str]:
    """The addresses that the user may be given, best first; only `address` if one is asked for."""
    try:
        possible = list(adapter.own_addresses(jid))
        wanted = adapter.canonical(address).canonical if address else ""
    except BadAddress as error:
        raise Trouble(str(error)) from error
    if not possible:
        raise Trouble(
            f"This transport has no address for {jid}: see the domains and numbers in the settings."
        )
    if not wanted:
        return possible
    if wanted not in possible:
        raise Trouble(f"{jid} may not have {address} here. Possible: {', '.join(possible[:10])}")
    return [wanted]


def _require_transport(settings: Settings, transport: str) -> None:
    if transport not in settings.transports:
        names = ", ".join(settings.transports)
        raise Trouble(f"There is no transport {transport} in {settings.path}. There is: {names}.", 2)


def bare_jid(jid: str) -> str:
    if not _BARE_JID.fullmatch(jid):
        raise Trouble(f"{jid} is no bare JID: write it like mira@example.org.", 2)
    return jid.lower()


def _nobody(jid: str, transport: str = "") -> Trouble:
    where = f" with {transport}" if transport else ""
    return Trouble(f"{jid} is not registered{where}: `passerelle users list` shows who is.")


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Trouble(f"{question} Say --yes to answer from a script.", 2)
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
