"""Decides which lines of a mail its sender wrote now: the heart of reading, and pure.

The lines are cut into pieces, own text and quotes, at the boundaries that programs put there. Then:
a quote that ends the mail goes, an answer below the quote stays alone, answers between quotes keep
them, a forward stays whole. When unsure it keeps: losing text is worse than showing a quote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.email.reading import boundaries, signatures
from adapters.email.reading.boundaries import Boundary, Kind
from adapters.email.reading.lines import Line, Mark, next_written, written

_WRAPPED_AT = 72  # columns: a quoted line that could not take the next word was broken on its way


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the headers say: whether the mail answers another, or forwards one."""

    reply: bool = True
    forward: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The visible text, and whether anything of the mail's text was left out of it."""

    text: str
    cut: bool


@dataclass(slots=True)
class _Piece:
    quote: bool
    lines: list[Line] = field(default_factory=list)
    attributed: bool = False  # of a quote: it is known to be of the mail that is answered


def visible(lines: list[Line], circumstances: Circumstances) -> Reading:
    """What the sender of a mail of these lines wrote now. "" only for a mail without text."""
    whole = written(lines)
    mended = _mend(lines)
    found = boundaries.find(mended)
    if any(boundary.kind is Kind.ATTRIBUTION for boundary in found):
        mended = _read_initials(mended)
    text = _dedented(written(_own(mended, found, circumstances)))
    if not _says_something(text):
        return Reading(whole, False)
    return Reading(text, text != _dedented(whole))


def _dedented(text: str) -> str:
    """Without the blanks that stand before every line: Yahoo's program puts some there."""
    common = min((len(line) - len(line.lstrip(" ")) for line in text.split("\n") if line.strip()), default=0)
    return "\n".join(line[common:] for line in text.split("\n")) if common else text


def _own(lines: Sequence[Line], found: Sequence[Boundary], circumstances: Circumstances) -> Sequence[Line]:
    """The lines that stay."""
    pieces: list[_Piece] = []
    place = 0
    for boundary in found:
        _cut_up(lines[place : boundary.start], pieces)
        place = boundary.start
        if _forwards(boundary.kind, circumstances) and not any(piece.attributed for piece in pieces):
            return _forward(pieces, lines[place:])
        follows = next_written(lines, boundary.end)
        if follows is not None and lines[follows].depth:
            place = boundary.end
            pieces.append(_Piece(quote=True, attributed=True))
        elif boundary.sure and _wrote_something(pieces):
            return _choose(pieces, circumstances)
        elif boundary.sure and boundary.kind is Kind.BLOCK:
            break  # nothing above it: the mail is what follows
        elif boundary.sure and any("@" in line.text for line in lines[place : boundary.end]):
            place = boundary.end  # nothing above it: what is below is all there is
    _cut_up(lines[place:], pieces)
    return _choose(pieces, circumstances)


def _forwards(kind: Kind, circumstances: Circumstances) -> bool:
    return kind is Kind.FORWARD or (kind is Kind.BLOCK and circumstances.forward)


def _forward(pieces: Sequence[_Piece], forwarded: Sequence[Line]) -> list[Line]:
    """The comment, and the whole of what is forwarded, without the quote marks that were put to it."""
    comment = [line for piece in pieces for line in piece.lines]
    if all(line.depth for line in forwarded if line.text):
        forwarded = [_unquoted(line) for line in forwarded]
    return [*signatures.strip(comment), Line("", "", 0), *forwarded]


def _unquoted(line: Line) -> Line:
    raw = line.raw.lstrip().removeprefix(">").removeprefix(" ")
    return Line(raw, raw.strip() if line.depth < 2 else line.text, max(line.depth - 1, 0), line.mark)


def _cut_up(lines: Sequence[Line], pieces: list[_Piece]) -> None:
    """Adds lines to the pieces. Empty lines belong to the piece above them."""
    for line in lines:
        quote = line.depth > 0
        if (line.text or quote) and (not pieces or pieces[-1].quote is not quote):
            pieces.append(_Piece(quote))
        elif not pieces:
            continue
        pieces[-1].lines.append(line)


def _wrote_something(pieces: Sequence[_Piece]) -> bool:
    return any(_says_something(written(signatures.strip(piece.lines))) for piece in pieces if not piece.quote)


def _says_something(text: str) -> bool:
    """Whether there is a letter, a digit or a picture in it, not rules and dots alone."""
    return any(character.isalnum() or character > "\u203c" or character in "?!" for character in text)


def _choose(pieces: list[_Piece], circumstances: Circumstances) -> list[Line]:
    """Which pieces stay, once it is known what is a quote."""
    pieces = _joined(pieces)
    for piece in pieces:
        if piece.quote and not piece.attributed:
            opening = boundaries.opens_old_mail(piece.lines)
            if opening is not None and _forwards(opening, circumstances):
                place = pieces.index(piece)
                return _forward(pieces[:place], [line for rest in pieces[place:] for line in rest.lines])
            piece.attributed = opening is not None
    quotes = sum(piece.quote for piece in pieces)
    pieces = _without_tail(pieces, circumstances)
    if len(pieces) == 2 and quotes == 1 and pieces[0].quote and pieces[0].attributed:
        pieces = pieces[1:]  # the answer is below the only quote
    return [line for piece in pieces for line in piece.lines]


def _joined(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Neighbours of one kind made one, and pieces with nothing on them left out."""
    joined: list[_Piece] = []
    for piece in pieces:
        if not any(line.text for line in piece.lines):
            continue
        if joined and joined[-1].quote is piece.quote:
            joined[-1].lines += piece.lines
            joined[-1].attributed = joined[-1].attributed or piece.attributed
        else:
            joined.append(piece)
    return joined


def _without_tail(pieces: list[_Piece], circumstances: Circumstances) -> list[_Piece]:
    """Without the signature at the end, and without the quote that ends the mail."""
    while pieces:
        last = pieces[-1]
        if not last.quote:
            below = any(piece.quote for piece in pieces[:-1])
            last.lines = signatures.strip(last.lines, below_quote=below)
            if any(line.text for line in last.lines):
                break
        elif not _is_leftover(last, pieces[:-1], circumstances):
            break
        pieces = pieces[:-1]
    return pieces


def _is_leftover(quote: _Piece, above: Sequence[_Piece], circumstances: Circumstances) -> bool:
    """Whether a quote at the end is the old mail that the program left there, not a citation."""
    if quote.attributed:
        return True
    if not above or not circumstances.reply:
        return False
    introduced = next((line.text for line in reversed(above[-1].lines) if line.text), "")
    return not introduced.endswith((":", "：")) or len(quote.lines) > 12


def _mend(lines: list[Line]) -> list[Line]:
    """Gives the quote back the ends of its lines that a program broke off while wrapping them."""
    mended = list(lines)
    damaged = False
    for place in range(1, len(lines) - 1):
        line, above, below = mended[place], mended[place - 1], mended[place + 1]
        if line.depth or not line.text or not above.depth or not below.depth or line.mark is Mark.CODE:
            continue
        first = line.text.split(" ", 1)[0]
        if not first[:1].islower() or len(above.raw) + 1 + len(first) <= _WRAPPED_AT - 12 * damaged:
            continue
        if above.text[-1:].isalnum() or above.text[-1:] == "," or (damaged and above.text[-1:] == "."):
            damaged = True
            mended[place] = Line(f"> {line.raw}", line.text, above.depth, line.mark)
    return mended


def _read_initials(lines: list[Line]) -> list[Line]:
    """Reads "Jana> " and "JB> " before at least two lines in a row as quote marks (supercite)."""
    prefixes = [_initials(line) for line in lines]
    around = zip(prefixes, [None, *prefixes], [*prefixes[1:], None], strict=False)
    return [
        Line(line.raw, line.text, 1, line.mark) if prefix and prefix in (above, below) else line
        for line, (prefix, above, below) in zip(lines, around, strict=False)
    ]


def _initials(line: Line) -> str | None:
    name, mark, _ = line.text[:16].partition(">")
    if not mark or line.depth or line.mark is Mark.CODE or not name.isalpha():
        return None
    return name if name.istitle() or (name.isupper() and len(name) <= 2) else None
