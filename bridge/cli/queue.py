"""`passerelle queue …`: what waits to be delivered."""

import time
from collections.abc import Sequence
from pathlib import Path

from typer import echo

from bridge.cli.output import ago, print_facts, print_table, settings_or_trouble
from bridge.cli.record import reading, writing
from bridge.cli.trouble import Trouble
from bridge.model import State
from bridge.settings import Secrets
from bridge.store import queue

_HEADERS = ("ID", "Outlet", "Kind", "State", "From", "To", "Age", "Next try", "Tries", "Last answer")


def list_queue(config: Path, outlet: str, most: int) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with reading(settings) as connection:
        entries = queue.list_open(connection, outlet, most)
    now = time.time()
    rows = [
        (
            str(one.id),
            one.outlet,
            one.kind,
            one.state,
            one.sender,
            one.recipient,
            ago(now - one.recorded_at),
            _next_try(one, now),
            str(one.attempts),
            one.reason,
        )
        for one in entries
    ]
    print_table(_HEADERS, rows, "Nothing waits: everything has been delivered.")


def show_delivery(config: Path, delivery: int) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with reading(settings) as connection:
        one = queue.show(connection, delivery)
    if one is None:
        raise Trouble(f"There is no delivery {delivery}: `passerelle queue list` shows the open ones.")
    print_facts(
        (
            ("delivery", str(one.id)),
            ("outlet", one.outlet),
            ("kind", one.kind),
            ("state", one.state),
            ("from", one.sender),
            ("to", one.recipient),
            ("part", f"{one.part} of {one.parts}" if one.parts > 1 else ""),
            ("length", f"{one.size} letter{'s' if one.size != 1 else ''}" if one.size else ""),
            ("recorded", _moment(one.recorded_at)),
            ("first tried", _moment(one.first_tried_at)),
            ("tries", str(one.attempts)),
            ("next try", _moment(one.due_at) if one.state in (State.WAITING, State.DOUBT) else ""),
            ("settled", _moment(one.settled_at)),
            ("remote id", one.remote_id),
            ("last answer", one.reason),
            ("code", one.code),
        )
    )


def retry_deliveries(config: Path, ids: Sequence[int], *, everything: bool) -> None:
    if bool(ids) == everything:
        raise Trouble("Say which: numbers that `passerelle queue list` shows, or --all.", 2)
    settings = settings_or_trouble(config, Secrets.NONE)
    with writing(settings) as connection:
        moved = queue.retry(connection, None if everything else ids, time.time())
    _complain_of_the_rest(ids, moved)
    echo(f"{len(moved)} due now.")


def drop_deliveries(config: Path, ids: Sequence[int]) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with writing(settings) as connection:
        dropped = queue.drop(connection, ids, time.time())
    _complain_of_the_rest(ids, dropped)
    echo(f"{len(dropped)} withdrawn; whoever wrote them is told.")


def _complain_of_the_rest(asked: Sequence[int], done: Sequence[int]) -> None:
    rest = sorted(set(asked) - set(done))
    if rest:
        numbers = ", ".join(map(str, rest))
        raise Trouble(
            f"{len(done)} done. Not open any more, under way, or never there: {numbers}. "
            "`passerelle queue show ID` says which."
        )


def _next_try(one: queue.Entry, now: float) -> str:
    if one.state is State.CLAIMED:
        return "under way"
    return "now" if one.due_at <= now else f"in {ago(one.due_at - now)}"


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""
