"""Turns what pydantic says about the settings into sentences for the person who wrote them.

Values are shown only where they help and cannot be secrets. A validator of an adapter's own that
raises ValueError("what is wrong; what to do") gets both halves shown; the second may be left out.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.settings.lines import Path

_EXAMPLE = "the annotated config/passerelle.toml shows how it is written"
_SECRET_WORDS = ("secret", "password", "token", "key")

# What is wanted, and how it is written, by the beginning of pydantic's error type.
_WANTED: Mapping[str, tuple[str, str]] = {
    "string": ("text in quotation marks", '"…"'),
    "path": ("a path in quotation marks", '"/…"'),
    "int": ("a whole number", "5"),
    "float": ("a number", "2.5"),
    "decimal": ("a number", "2.5"),
    "finite": ("a number", "2.5"),
    "bool": ("true or false", "true"),
    "tuple": ("a list", '["…"]'),
    "list": ("a list", '["…"]'),
    "set": ("a list", '["…"]'),
    "frozen": ("a list", '["…"]'),
    "dict": ("a table", "{ … }"),
    "mapping": ("a table", "{ … }"),
    "model": ("a table", "{ … }"),
}

# What tomllib says, and what people mostly did.
_SYNTAX_REMEDIES: Mapping[str, str] = {
    "Invalid value": "put text in quotation marks",
    "Illegal character": 'close the text with " on the same line',
    "Unterminated": 'close the text with "',
    "Expected '=' after a key": 'write each key as key = "value"',
    "Expected newline or end of document": "put one key on each line, and text in quotation marks",
    "Cannot overwrite a value": "this key stands twice: remove one",
    "Cannot declare": "this table stands twice: join the two",
    "Unclosed array": "close the list with ]",
    "Unclosed inline table": "close the table with }",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in the settings: where, what, and what to do about it."""

    line: int | None  # from 1; None where no line is to blame
    key: str  # dotted, as in `transport.mail.outbound.port`; may be empty
    problem: str
    remedy: str


def dotted(path: Path) -> str:
    """A path as the settings file would spell it; list elements count from 1, as people do."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for a name that nobody knows: the one that was probably meant, or all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known here: {', '.join(names)}" if names else "remove it"


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of a path, or of the innermost table around it that is written down."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def syntax_fault(message: str, text: str) -> Fault:
    """What tomllib could not read, with its line. tomllib stops at the first."""
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    problem = message[: where.start()] if where else message
    line = int(where.group(1)) if where and where.group(1) else text.count("\n") + 1
    remedy = "mend this line; what follows it has not been read"
    for sign, advice in _SYNTAX_REMEDIES.items():
        if sign in problem:
            remedy = advice
    return Fault(line, "", f"this is not TOML: {problem[:1].lower()}{problem[1:]}", remedy)


def from_pydantic(
    error: ValidationError,
    model: type[BaseModel],
    data: Mapping[str, Any],
    prefix: Path,
    lines: Mapping[Path, int],
) -> list[Fault]:
    """Each of pydantic's errors about `data`, which stands at `prefix` in the file, as a Fault."""
    faults: dict[Path, Fault] = {}
    for detail in error.errors(include_url=False):
        inner = _path_in(data, detail["loc"])
        if detail["type"] in ("value_error", "assertion_error"):
            inner, problem, remedy = _own_words(detail, inner, data, model)
        else:
            problem, remedy = _sentence(detail, inner, data, model)
        path = (*prefix, *inner)
        # Of the alternatives of a union each complains; the first to do so is enough.
        faults.setdefault(path, Fault(line_of(path, lines), dotted(path), problem, remedy))
    return list(faults.values())


def _path_in(data: Any, location: tuple[str | int, ...]) -> Path:
    """pydantic's location without the names of a union's alternatives, which nobody has written."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(data, Mapping) and (part in data or last):
            path.append(part)
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _sentence(
    detail: ErrorDetails, path: Path, data: Mapping[str, Any], model: type[BaseModel]
) -> tuple[str, str]:
    kind = detail["type"]
    name = str(path[-1]) if path else ""
    if kind == "missing":
        return "it is missing", f"add {name} = {_how_written(model, path)}"
    if kind == "extra_forbidden":
        return "there is no such key", nearest(name, _fields(model, path[:-1]))
    shown = "it" if _is_secretive(path) else _shown(_at(data, path))
    if bounds := _out_of_bounds(kind, detail.get("ctx", {}), shown):
        return bounds
    value = _at(data, path)
    wanted, written = _WANTED.get(kind.split("_")[0], ("another value", ""))
    if written == '["…"]' and isinstance(value, str) and not _is_secretive(path):
        written = f'["{value}"]'
    if not written:
        return f"{wanted} belongs here, not {_kind_of(value)}", _EXAMPLE
    target = f"{name} = {written}" if path and isinstance(path[-1], str) else written
    return f"{wanted} belongs here, not {_kind_of(value)}", f"write {target}"


def _own_words(
    detail: ErrorDetails, path: Path, data: Mapping[str, Any], model: type[BaseModel]
) -> tuple[Path, str, str]:
    """The sentence of a validator that we, or an adapter's author, have written, and what it is about.

    A validator of a whole table may begin with the key that it means: "key: …" or "key = …".
    """
    sentence = str(detail.get("ctx", {}).get("error") or detail["msg"])
    value = _at(data, path)
    if isinstance(value, Mapping) and set(value) == {"file"}:
        return path, sentence, "create it, readable by the account that runs passerelle, or name another"
    named = re.match(r"(\w+)(: |(?= = ))", sentence)
    if named and named.group(1) in _fields(model, path):
        path = (*path, named.group(1))
        sentence = sentence[named.end() :] if named.group(2) else sentence
    for between in ("; ", ": ", ". "):
        problem, found, remedy = sentence.partition(between)
        if found:
            return path, problem, f"{remedy[:1].lower()}{remedy[1:]}"
    return path, sentence, _EXAMPLE


def _out_of_bounds(kind: str, ctx: Mapping[str, Any], shown: str) -> tuple[str, str] | None:
    match kind:
        case "greater_than_equal":
            return f"{shown} is too small", f"write {ctx['ge']} or more"
        case "greater_than":
            return f"{shown} is too small", f"write more than {ctx['gt']}"
        case "less_than_equal":
            return f"{shown} is too large", f"write {ctx['le']} or less"
        case "less_than":
            return f"{shown} is too large", f"write less than {ctx['lt']}"
        case "literal_error" | "enum":
            return f"{shown} is not among the choices", f"write {ctx['expected']}".replace("'", '"')
        case "string_too_short":
            return f"{shown} is too short", f"write at least {_count(ctx['min_length'], 'character')}"
        case "string_too_long":
            return f"{shown} is too long", f"write at most {_count(ctx['max_length'], 'character')}"
        case "too_short":
            return "the list is too short", f"name at least {ctx['min_length']}"
        case "too_long":
            return "the list is too long", f"name at most {ctx['max_length']}"
        case "int_from_float":
            return f"{shown} is not a whole number", "write it without a fraction"
        case "string_pattern_mismatch":
            return f"{shown} does not have the form that is wanted", _EXAMPLE
    return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_secretive(path: Path) -> bool:
    return any(word in str(part) for part in path for word in _SECRET_WORDS)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value[:60]}"'
    return str(value) if isinstance(value, int | float) else "it"


def _kind_of(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),  # before int, of which bool is one
        (str, "text"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (Mapping, "a table"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "a date or time")


# --- what a model would have taken ---


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's annotation speaks of: itself, or those in Optional, Union, tuple, …"""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _inside(model: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    found = [model]
    for part in path:
        if isinstance(part, int):
            continue
        fields = [candidate.model_fields.get(part) for candidate in found]
        found = [inner for field in fields if field for inner in _models(field.annotation)]
    return found


def _fields(model: type[BaseModel], path: Path) -> set[str]:
    return {name for inner in _inside(model, path) for name in inner.model_fields}


def _how_written(model: type[BaseModel], path: Path) -> str:
    """A value of the right shape, for a key that is missing."""
    if path and any(word in str(path[-1]) for word in _SECRET_WORDS):
        return '{ file = "…" }'
    for inner in _inside(model, path[:-1]):
        field = inner.model_fields.get(str(path[-1])) if path else None
        if field is None:
            continue
        if field.examples:
            return str(field.examples[0])
        return _literal(field.annotation)
    return '"…"'


def _literal(annotation: Any) -> str:
    shapes: Mapping[Any, str] = {int: "…", float: "…", bool: "true"}
    if annotation in shapes:
        return shapes[annotation]
    origin = typing.get_origin(annotation)
    if origin in (tuple, list, set, frozenset):
        return '["…"]'
    if _models(annotation) and origin not in (typing.Union, types.UnionType):
        return "{ … }"
    return '"…"'
