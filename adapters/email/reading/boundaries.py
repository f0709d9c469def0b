"""Finds the places where a program put an old mail: attributions, header blocks, separators."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from adapters.email.reading import attributions, blocks
from adapters.email.reading.attributions import Strength
from adapters.email.reading.blocks import Separator
from adapters.email.reading.lines import Line, Mark, next_written


class Kind(Enum):
    """What stands at the boundary."""

    ATTRIBUTION = 1  # "On … Jana wrote:"
    BLOCK = 2  # From, Sent, To, Subject; or "-----Original Message-----"; or both
    FORWARD = 3  # "---------- Forwarded message ---------", with what belongs to it


@dataclass(frozen=True, slots=True)
class Boundary:
    """Lines `start` to `end` (not included). Not `sure`: only if a quoted line follows."""

    kind: Kind
    start: int
    end: int
    sure: bool = True


def find(lines: Sequence[Line]) -> list[Boundary]:
    """All boundaries outside of quotes, in order, without overlaps."""
    found: list[Boundary] = []
    place = free = tried = 0
    while place < len(lines):
        line = lines[place]
        boundary = None
        if line.mark is Mark.CUT:
            boundary = _announced(lines, place, place + 1, Kind.BLOCK)
        elif line.text and line.mark is not Mark.CODE:
            if line.depth:
                boundary = _wrapped_into_quote(lines, place, free)
            else:
                boundary, tried = _at(lines, place, free, tried)
        if boundary is None:
            place += 1
            continue
        found.append(boundary)
        place = free = boundary.end
    return found


def opens_old_mail(lines: Sequence[Line]) -> Kind | None:
    """What a run of quoted lines begins with, if a program's words are among its first."""
    seen = 0
    for place, line in enumerate(lines[:12]):
        if not line.text:
            continue
        seen += 1
        if seen > 5:
            return None
        announced = blocks.separator(line.text)
        if announced is Separator.FORWARDED:
            return Kind.FORWARD if seen == 1 else None
        if announced is Separator.ORIGINAL:
            return Kind.BLOCK
        if blocks.label(line.text) and blocks.find(lines, place, announced=False)[1]:
            return Kind.BLOCK
        if attributions.find(lines, place)[1] is Strength.STRONG or line.mark is Mark.ATTRIBUTION:
            return Kind.ATTRIBUTION
    return None


def _at(lines: Sequence[Line], place: int, free: int, tried: int) -> tuple[Boundary | None, int]:
    """The boundary at an unquoted line, and up to where header labels need not be tried again."""
    line = lines[place]
    announced = blocks.separator(line.text)
    if announced is Separator.FORWARDED:
        return _announced(lines, place, place + 1, Kind.FORWARD), tried
    if announced is Separator.ORIGINAL:
        return _announced(lines, place, place + 1, Kind.BLOCK), tried
    if line.mark is Mark.ATTRIBUTION:
        return Boundary(Kind.ATTRIBUTION, place, place + 1), tried
    if place >= tried and blocks.label(line.text) is not None:
        above = lines[place - 1].text if place else ""
        end, complete = blocks.find(
            lines, place, announced=blocks.is_rule(above) or blocks.is_ruled_title(above)
        )
        if complete:
            titled = place > free and blocks.is_ruled_title(above)
            return Boundary(Kind.BLOCK, place - titled, end), tried
        tried = max(end, place + 1)
    if attributions.is_followed_by_text(line.text):
        return Boundary(Kind.ATTRIBUTION, place, place + 1), tried
    start, strength = attributions.find(lines, place, free)
    if strength is Strength.NONE:
        return None, tried
    return Boundary(Kind.ATTRIBUTION, start, place + 1, strength is Strength.STRONG), tried


def _announced(lines: Sequence[Line], start: int, end: int, kind: Kind) -> Boundary:
    """A separator together with the header block or attribution below it."""
    first = next_written(lines, end)
    if first is not None and not lines[first].depth and blocks.separator(lines[first].text) is None:
        after, complete = blocks.find(lines, first, announced=True)
        if complete:
            return Boundary(kind, start, after)
        last = min(first + 3, len(lines))
        for place in range(first, last):
            if attributions.find(lines, place, first)[1] is Strength.STRONG:
                return Boundary(kind, start, place + 1)
    return Boundary(kind, start, end)


def _wrapped_into_quote(lines: Sequence[Line], place: int, free: int) -> Boundary | None:
    """An attribution whose last line was taken for a quote by its ">" ("<jana@x.org\\n> wrote:")."""
    line = lines[place]
    above = lines[place - 1] if place > free else None
    if line.depth != 1 or len(line.text) > 40 or above is None or above.depth or not above.text:
        return None
    start, strength = attributions.find(lines, place, free)
    if strength is not Strength.STRONG or start == place:
        return None
    return Boundary(Kind.ATTRIBUTION, start, place + 1)
