"""How commands print: for people on a terminal, tab-separated for programs behind a pipe."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from typer import echo

from bridge.cli.trouble import Trouble
from bridge.settings import Fault, Secrets, Settings, SettingsFaults, load

_FIRST_WORD_AFTER = 2.0  # seconds without a sign before we say that we are at it
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), " ")


def settings_or_trouble(path: Path, secrets: Secrets = Secrets.ALL) -> Settings:
    """The settings; their faults end the command with status 2."""
    try:
        return load(path, secrets=secrets)
    except SettingsFaults as faults:
        raise Trouble(faults_text(path, faults.faults), 2) from faults


def faults_text(path: Path, faults: Sequence[Fault], noun: str = "fault") -> str:
    """The faults, one below the other: line, key, what is wrong; below it what to do."""
    count = f"{len(faults)} {noun}" if len(faults) == 1 else f"{len(faults)} {noun}s"
    lines = [f"{path}: {count}"]
    width = max((len(str(fault.line)) for fault in faults if fault.line), default=1)
    for fault in faults:
        where = f"line {fault.line:>{width}}" if fault.line else " " * (width + 5)
        what = f"{fault.key}: {fault.problem}" if fault.key else fault.problem
        lines += [f"  {where}  {what}", f"  {' ' * (width + 5)}  → {fault.remedy}"]
    return "\n".join(lines)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """A table, or the sentence `empty` where there is nothing to show."""
    # What strangers chose to be called must not steer the terminal.
    clean = [[cell.translate(_CONTROLS) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in clean:
            echo("\t".join(row))
        return
    if not clean:
        echo(empty)
        return
    # Not at the top: `run` prints no tables, and does without rich (see there).
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in clean:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Name and value, one below the other; what is empty is left out."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        if value:
            echo(f"{name:<{width}}  {value.translate(_CONTROLS)}")


@contextlib.contextmanager
def at_work(what: str) -> Iterator[None]:
    """Says every few seconds that `what` goes on, once it has taken longer than two."""
    over = threading.Event()
    began = time.monotonic()

    def speak() -> None:
        while not over.wait(_FIRST_WORD_AFTER):
            echo(f"{what}… {time.monotonic() - began:.0f} s", err=True)

    speaker = threading.Thread(target=speak, name="progress", daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()


def ago(seconds: float) -> str:
    """A span of time, roughly: `40 s`, `12 min`, `3 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
