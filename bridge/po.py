"""Compiles gettext's text catalogues (.po) to the binary form (.mo) that Python's gettext module reads.

In memory and when it is first needed, so that neither build nor start need a compiler.
"""

import ast
import struct
from collections.abc import Iterator


def compile_po(text: str) -> bytes:
    """A .mo file's bytes. Entries without a translation, fuzzy and obsolete ones are left out.

    Raises ValueError with the line that cannot be read.
    """
    return _binary(dict(entries(text)))


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Source and translation of each entry, as a .mo has them: plural forms joined by NUL."""
    parts: dict[str, str] = {}
    fuzzy = next_fuzzy = False
    key = ""
    for number, line in enumerate((*text.splitlines(), ""), 1):
        line = line.strip()
        if line.startswith("#"):
            next_fuzzy = next_fuzzy or (line.startswith("#,") and "fuzzy" in line)
            continue
        if not line or line.startswith("msgid "):
            if (entry := _entry(parts)) and not fuzzy:
                yield entry
            parts, fuzzy, next_fuzzy = {}, next_fuzzy, False
        if line.startswith('"'):
            parts[key] += _quoted(line, number)
        elif line:
            key, _, rest = line.partition(" ")
            parts[key] = _quoted(rest.strip(), number)


def _entry(parts: dict[str, str]) -> tuple[str, str] | None:
    if "msgid" not in parts:
        return None
    if "msgid_plural" not in parts:
        return (parts["msgid"], parts["msgstr"]) if parts.get("msgstr") else None
    forms = [parts[key] for key in sorted(parts) if key.startswith("msgstr[")]
    return (f"{parts['msgid']}\0{parts['msgid_plural']}", "\0".join(forms)) if all(forms) else None


def _quoted(text: str, number: int) -> str:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError(f"line {number} of the catalogue is no text in quotation marks")
    return value


def _binary(catalogue: dict[str, str]) -> bytes:
    """The format of GNU gettext's manual, chapter "The Format of GNU MO Files", without a hash table."""
    pairs = [(source.encode(), catalogue[source].encode()) for source in sorted(catalogue)]
    count = len(pairs)
    data_at = 28 + 16 * count
    tables: list[list[int]] = [[], []]
    data = b""
    for column, table in enumerate(tables):
        for pair in pairs:
            table += (len(pair[column]), data_at + len(data))
            data += pair[column] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, data_at)
    return header + struct.pack(f"<{4 * count}I", *tables[0], *tables[1]) + data
