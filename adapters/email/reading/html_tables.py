"""A table of a mail: data that reads as "label: value", or only layout."""

from collections.abc import Sequence

from adapters.email.reading.lines import Line, Mark, at_depth

_LONGEST_CELL = 200
_LONGEST_LABEL = 60
_MOST_COLUMNS = 12


class Table:
    """Collects the cells of a table while it is open; `above` are the lines written before it."""

    def __init__(self, above: list[Line]) -> None:
        self._above = above
        self._loose: list[Line] = []  # outside of any cell
        self._rows: list[list[list[Line]]] = []
        self._header = False
        self._cell: list[Line] | None = None

    def take(self, written: list[Line], tag: str) -> list[Line]:
        """A row or cell begins: where its lines go. `written` are those since the last one."""
        if self._cell is None:
            self._loose += written
        if tag == "tr" or not self._rows:
            self._rows.append([])
        if tag == "tr":
            self._cell = None
            return []
        if tag == "th" and len(self._rows) == 1:
            self._header = True
        self._cell = []
        self._rows[-1].append(self._cell)
        return self._cell

    def close(self, written: list[Line], depth: int) -> list[Line]:
        """The lines above the table and those that it becomes."""
        if self._cell is None:
            self._loose += written
        rows = [row for row in self._rows if any(line.text for cell in row for line in cell)]
        self._above += [*self._loose, *(_data(rows, depth, self._header) or _layout(rows))]
        return self._above  # the same list: it may be a cell of another table


def _layout(rows: Sequence[Sequence[Sequence[Line]]]) -> list[Line]:
    return [line for row in rows for cell in row for line in cell]


def _data(rows: Sequence[Sequence[Sequence[Line]]], depth: int, header: bool) -> list[Line] | None:
    """The lines of a table of data, or None if it does not look like one."""
    if len(rows) < 2 or not 2 <= len(rows[0]) <= _MOST_COLUMNS or len({len(row) for row in rows}) > 1:
        return None
    cells: list[list[str]] = []
    for row in rows:
        cells.append([])
        for cell in row:
            texts = [line.text for line in cell if line.text]
            if len(texts) > 3 or any(line.depth != depth or line.mark is not Mark.NONE for line in cell):
                return None
            cells[-1].append(" ".join(texts))
    if any(len(text) > _LONGEST_CELL for row_texts in cells for text in row_texts):
        return None
    texts_out = _pairs(cells) if len(cells[0]) == 2 else _records(cells, header)
    if texts_out is None:
        return None
    return [at_depth(text, depth) if text else Line(">" * depth, "", depth) for text in texts_out]


def _pairs(cells: Sequence[Sequence[str]]) -> list[str] | None:
    if any(len(label) > _LONGEST_LABEL for label, _ in cells):
        return None
    return [_labelled(label, value) for label, value in cells]


def _records(cells: Sequence[Sequence[str]], header: bool) -> list[str]:
    """A block for each row: labelled by the header row if there is one."""
    out: list[str] = []
    for row in cells[1:] if header else cells:
        if out:
            out.append("")
        labels = cells[0] if header else [""] * len(row)
        out += [_labelled(label, value) for label, value in zip(labels, row, strict=True) if value]
    return out


def _labelled(label: str, value: str) -> str:
    label = label.strip("*").rstrip(": ")
    return f"{label}: {value}" if label and value else label or value
