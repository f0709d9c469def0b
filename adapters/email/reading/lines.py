"""A line of mail and how deeply it is quoted: the form in which text and HTML meet."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class Mark(Enum):
    """What the sender's program said about a line in HTML; text has no such marks."""

    NONE = 0
    ATTRIBUTION = 1  # the element is the program's "On … wrote:"
    CUT = 2  # all that follows is the mail that is answered (or forwarded)
    SIGNATURE = 3
    CODE = 4  # preformatted: never anything else


class Line(NamedTuple):
    """`raw` is what is shown, `text` the same without quote marks and spaces around it."""

    raw: str
    text: str
    depth: int
    mark: Mark = Mark.NONE


def from_text(text: str, limit: int) -> list[Line]:
    """The lines of a plain text, at most `limit` of them."""
    return _protect_prompts(_protect_code([_read(line) for line in text.split("\n", limit)[:limit]]))


_DEEPEST = 12  # quotes within quotes that are told apart


def at_depth(text: str, depth: int, mark: Mark = Mark.NONE) -> Line:
    """A line that stands `depth` quotes deep in HTML; marks within the text make it deeper."""
    line = Line(text, text.strip(), 0, mark) if mark is Mark.CODE else _read(text)
    if not depth:
        return line._replace(mark=mark)
    depth = min(depth, _DEEPEST)
    return Line(f"{'>' * depth} {line.raw}", line.text, line.depth + depth, mark)


def written(lines: Sequence[Line]) -> str:
    """The lines as text: no blanks around, and at most one empty line in a row outside of code."""
    out: list[str] = []
    for line in lines:
        if line.text or line.mark is Mark.CODE or (line.depth and out and out[-1]):
            out.append(line.raw)
        elif not line.depth and out and out[-1]:
            out.append("")
    while out and not out[-1].strip("> "):
        out.pop()
    return "\n".join(out)


def next_written(lines: Sequence[Line], start: int, within: int = 4) -> int | None:
    """The place of the first line with something on it, from `start` on, among the next few."""
    for place in range(start, min(start + within, len(lines))):
        if lines[place].text:
            return place
    return None


def _read(line: str) -> Line:
    raw = line if line == "-- " else line.rstrip()  # RFC 3676: the space makes it a signature's line
    if ">" not in raw[:4]:
        return Line(raw, raw.strip(), 0)
    place = depth = 0
    for place, character in enumerate(raw):
        if character == ">":
            depth += 1
        elif character not in " \t" or (not depth and place > 2):
            break
    else:
        place = len(raw)
    if not depth:
        return Line(raw, raw.strip(), 0)
    if depth > 5 and place == len(raw) and ">>>>>>" in raw:
        return Line(raw, ">>>>>>", 1)  # a rule made of such signs, quoted once
    return Line(raw, raw[place:].strip(), depth)


def _protect_code(lines: list[Line]) -> list[Line]:
    """Marks what stands between two ``` lines as code, so that nothing in it is taken for a quote."""
    opened: int | None = None
    for place, line in enumerate(lines):
        if line.depth or not line.text.startswith("```"):
            continue
        if opened is None:
            opened = place
        else:
            for inside in range(opened, place + 1):
                lines[inside] = Line(lines[inside].raw, lines[inside].raw.strip(), 0, Mark.CODE)
            opened = None
    return lines


def _protect_prompts(lines: list[Line]) -> list[Line]:
    """Marks a session of Python (">>> 1 + 1") as code: no quote begins three levels deep."""
    depth_above = 0
    for place, line in enumerate(lines):
        if line.depth == 3 and depth_above == 0 and line.raw.startswith(">>> "):
            lines[place] = Line(line.raw, line.raw, 0, Mark.CODE)
        else:
            depth_above = line.depth
    return lines
