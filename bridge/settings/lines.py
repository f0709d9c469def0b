"""Where in a TOML text each key stands: tomllib reads the values and forgets the lines.

Expects text that tomllib has accepted, so it follows only as much of the grammar (TOML 1.0) as is
needed to tell keys from values.
"""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # also between the elements of an array
_SCALAR = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{1,2})?'  # up to two quotation marks may stand before the closing three
    r"|'''.*?'''(?:'{1,2})?"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(["\\bfnrt]))')
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def key_lines(text: str) -> Mapping[Path, int]:
    """The line, from 1, on which each table, key and list element first appears.

    A path is made of keys and, inside lists, of indexes from 0.
    """
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # up to where newlines have been counted
        self._lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  # how many [[…]] a path has had

    def run(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip(_BETWEEN) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self._lines.setdefault(path, self._line)

    def _header(self) -> Path:
        """[table] or [[table]]; the parents' latest elements are part of the path."""
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        keys = self._dotted()
        self._skip(_BLANK)
        self._at += brackets
        path: Path = ()
        for key in keys[:-1]:
            path = self._latest((*path, key))
            self._note(path)
        path = (*path, keys[-1])
        self._note(path)
        if brackets == 2:
            self._elements[path] = self._elements.get(path, 0) + 1
            path = self._latest(path)
            self._note(path)
        return path

    def _latest(self, path: Path) -> Path:
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: Path) -> None:
        path = table
        self._note(path)
        for key in self._dotted():
            path = (*path, key)
            self._note(path)
        self._skip(_BLANK)
        self._at += 1  # the equals sign
        self._value(path)

    def _dotted(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        start = self._at
        end = self._skip(_STRING if self._text[start] in "\"'" else _BARE_KEY)
        if self._text[start] == '"':
            return _ESCAPE.sub(_unescape, self._text[start + 1 : end - 1])
        if self._text[start] == "'":
            return self._text[start + 1 : end - 1]
        if end == start:
            raise ValueError(f"no key at character {start}: the text is not TOML")
        return self._text[start:end]

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if first in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._text[self._skip(_BETWEEN)] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                index += 1
                continue
            self._note((*path, index))
            self._value((*path, index))
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._text[self._skip(_BETWEEN)] != "}":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)
        self._at += 1


def _unescape(match: re.Match[str]) -> str:
    short, long, letter = match.group(1), match.group(2), match.group(3)
    return _SHORT_ESCAPES[letter] if letter else chr(int(short or long, 16))
