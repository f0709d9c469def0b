"""The lanes of one outlet: which are to be looked at, which are busy, which sleep until when.

Keeps names and times only; what stands in a lane is the record's business.
"""

from collections.abc import Iterable
from itertools import islice


class Lanes:
    """A lane is due, busy, asleep, or of no interest."""

    def __init__(self) -> None:
        self._due: dict[str, None] = {}  # in the order in which they rang
        self._busy: set[str] = set()
        self._rang_while_busy: set[str] = set()
        self._asleep: dict[str, float] = {}
        self.next_wake = float("inf")

    @property
    def any_due(self) -> bool:
        return bool(self._due)

    def ring(self, lane: str) -> None:
        """Something in this lane is due."""
        if lane in self._busy:
            self._rang_while_busy.add(lane)
        else:
            self._asleep.pop(lane, None)
            self._due[lane] = None

    def sleep(self, lane: str, until: float) -> None:
        """Look at this lane again then, if nothing rings before."""
        self._asleep[lane] = min(until, self._asleep.get(lane, until))
        self.next_wake = min(self.next_wake, until)

    def found(self, lane: str, due_at: float) -> None:
        """The record has something open in this lane."""
        if lane in self._busy:
            self._rang_while_busy.add(lane)
        elif lane not in self._due:
            self.sleep(lane, due_at)

    def wake(self, now: float) -> None:
        """Those that have slept long enough are due."""
        if now < self.next_wake:
            return
        for lane in [lane for lane, at in self._asleep.items() if at <= now]:
            del self._asleep[lane]
            if lane in self._busy:
                self._rang_while_busy.add(lane)
            else:
                self._due[lane] = None
        self.next_wake = min(self._asleep.values(), default=float("inf"))

    def take(self, most: int) -> list[str]:
        """The first of those that are due; they are busy from now on."""
        taken = list(islice(self._due, most))
        for lane in taken:
            del self._due[lane]
        self._busy.update(taken)
        return taken

    def keep(self, lane: str) -> bool:
        """Make a lane busy out of turn, until it is freed; False if it is busy already."""
        if lane in self._busy:
            return False
        self._due.pop(lane, None)
        self._busy.add(lane)
        return True

    def free(self, lanes: Iterable[str], *, again: bool) -> None:
        """No longer busy. Due at once if `again`, or if they rang meanwhile."""
        for lane in lanes:
            self._busy.discard(lane)
            if again or lane in self._rang_while_busy:
                self._rang_while_busy.discard(lane)
                self._asleep.pop(lane, None)
                self._due[lane] = None
