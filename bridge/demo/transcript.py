"""Prints the scene as a dialogue: the chat on the left, mail and phone on the right, the wire beneath.

Everything that matters is said in words and signs, so it reads the same without colours.
"""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

WIDTH = 100  # wider lines are hard to read
FOLD_AFTER = 18  # lines of wire shown


class Transcript:
    """Two columns on a console, from 60 characters wide."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, WIDTH)
        self._steps = 0

    # --- frame ---

    def opening(self, title: str, lines: Iterable[str]) -> None:
        self._print(Text(title, style="bold"))
        for line in lines:
            self._print(Text(line))
        self._print()

    def columns(self) -> None:
        """The heads of the two columns."""
        self._print()
        left, right = "CHAT  (Mira's XMPP client)", "MAIL AND PHONE  (no XMPP there)"
        self._print(self._row(Text(left, style="bold"), Text(right, style="bold")))
        self._print(self._rule("═"))

    def progress(self, text: str) -> None:
        """Something that takes a moment."""
        self._print(Text(f"… {text}", style="dim"))

    def step(self, title: str) -> None:
        self._steps += 1
        self._print()
        self._print(Text(f"{self._steps}. {title}", style="bold cyan"))

    def closing(self, lines: Iterable[str]) -> None:
        self._print(self._rule("═"))
        for line in lines:
            self._print(Text(line))

    def failure(self, lines: Iterable[str]) -> None:
        self._print()
        for line in lines:
            self._console.print(Text(line, style="red"), soft_wrap=True)

    # --- the chat's side ---

    def chat_says(self, to: str, body: str) -> None:
        """Mira writes."""
        self._left(Text(f"Mira → {to}", style="green"), Text(body))

    def chat_hears(self, sender: str, body: str) -> None:
        """Mira reads."""
        self._left(Text(f"{sender} → Mira", style="yellow"), Text(body))

    def chat_notes(self, sign: str, text: str, style: str = "", more: str = "") -> None:
        """What Mira's client shows beside a message: a tick, a cross, a presence."""
        self._left(Text(f"{sign} {text}", style=style), Text(more) if more else None)

    # --- the other side ---

    def far_sees(self, head: str, body: str) -> None:
        """A mail or a text arrives there."""
        self._right(Text(head, style="green"), Text(body))

    def far_writes(self, head: str, body: str) -> None:
        """A mail or a text is written there."""
        self._right(Text(head, style="yellow"), Text(body))

    def far_notes(self, sign: str, text: str, style: str = "") -> None:
        self._right(Text(f"{sign} {text}", style=style))

    # --- neither ---

    def happens(self, sign: str, text: str) -> None:
        """Something that strikes the gateway itself."""
        self._print(Text(f"{sign} {text}".center(self._width).rstrip(), style="bold magenta"))

    def wire(self, title: str, raw: str) -> None:
        """What went over the wire, folded after some lines."""
        lines = raw.replace("\r\n", "\n").rstrip("\n").split("\n")
        shown = [f"┆ {line}" for line in lines[:FOLD_AFTER]]
        if len(lines) > FOLD_AFTER:
            shown.append(f"┆ … {len(lines) - FOLD_AFTER} more lines")
        for line in [f"┆ {title}", *shown]:
            text = Text(f"    {line}", style="dim")
            text.truncate(self._width, overflow="ellipsis")
            self._print(text)

    # --- parts ---

    def _half(self) -> int:
        return (self._width - 3) // 2

    def _rule(self, sign: str) -> Text:
        return Text(sign * self._width, style="dim")

    def _left(self, head: Text, body: Text | None = None) -> None:
        for line in self._set(head, body):
            self._print(self._row(line, Text("")))

    def _right(self, head: Text, body: Text | None = None) -> None:
        for line in self._set(head, body):
            self._print(self._row(Text(""), line))

    def _set(self, head: Text, body: Text | None) -> list[Text]:
        """A head line, and what it says set in by two, wrapped to half the width."""
        # The sign that a head begins with hangs out to the left of what is wrapped.
        first, *wrapped = head.wrap(self._console, self._half() - 2, overflow="fold")
        if body is not None:
            wrapped += body.wrap(self._console, self._half() - 2, overflow="fold")
        return [first, *(Text("  ").append_text(line) for line in wrapped)]

    def _row(self, left: Text, right: Text) -> Text:
        row = left.copy()
        row.rstrip()
        row.append(" " * max(0, self._half() - row.cell_len))
        row.append(" │ ", style="dim")
        row.append_text(right)
        row.rstrip()
        return row

    def _print(self, what: Text | str = "") -> None:
        self._console.print(what, highlight=False, markup=False, emoji=False, no_wrap=True, crop=False)
