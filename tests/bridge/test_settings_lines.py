"""Which line of a TOML text each key stands on, for every way that TOML has to write one."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.settings.lines import Path, key_lines

TEXT = '''\
# a comment with [brackets] and = signs
top = 1
"quoted key" = "a # that is no comment"   # one that is
'literal key' = 'C:\\\\path'

[table]
plain = """
[not.a.table]
key = "nor this"
"""
dotted.inner."and quoted" = true
list = [
  "one", # with a comment, and a ]
  { key = 2, other.deep = [3,
     4] },
  """x"""",
]
date = 1979-05-27 07:32:00
inline = { a = { b = "}" }, "c" = [] }

[table.sub]   # the table above is known already
x = 1

[[array]]
n = 1
[[array]]
n = 2
[array.child]
m = 3
'''


def test_every_way_to_write_a_key_is_found() -> None:
    lines = key_lines(TEXT)

    wanted: dict[Path, int] = {
        ("top",): 2,
        ("quoted key",): 3,
        ("literal key",): 4,
        ("table",): 6,
        ("table", "plain"): 7,
        ("table", "dotted"): 11,
        ("table", "dotted", "inner", "and quoted"): 11,
        ("table", "list"): 12,
        ("table", "list", 0): 13,
        ("table", "list", 1, "key"): 14,
        ("table", "list", 1, "other", "deep", 1): 15,
        ("table", "list", 2): 16,
        ("table", "date"): 18,
        ("table", "inline", "a", "b"): 19,
        ("table", "inline", "c"): 19,
        ("table", "sub"): 21,
        ("table", "sub", "x"): 22,
        ("array",): 24,
        ("array", 0, "n"): 25,
        ("array", 1, "n"): 27,
        ("array", 1, "child", "m"): 29,
    }
    assert {path: lines.get(path) for path in wanted} == wanted
    assert set(paths(tomllib.loads(TEXT))) <= set(lines)
    assert ("not",) not in lines


def paths(value: Any, here: Path = ()) -> list[Path]:
    """Every path that tomllib finds."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path for key, part in inner for path in [(*here, key), *paths(part, (*here, key))]]


_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(_words, st.lists(_words, max_size=3), max_size=6))
def test_whatever_stands_in_quotation_marks_moves_no_line(data: dict[str, list[str]]) -> None:
    text = "".join(f"{_quoted(key)} = [{', '.join(map(_quoted, values))}]\n" for key, values in data.items())

    lines = key_lines(text)

    assert tomllib.loads(text) == data
    assert [lines[(key,)] for key in data] == list(range(1, len(data) + 1))
