"""Authentication-Results (RFC 8601) as servers really write them. Never raises; knows no policy."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_VALUE_LIMIT = 8000
_RESULTS = 50

_METHOD = re.compile(r"([a-z0-9-]{1,40})(?:\s*/\s*\d+)?\s*=\s*([a-z]{1,20})", re.IGNORECASE)
_PROPERTY = re.compile(
    r"(?:^|\s)([a-z]{1,20})\s*\.\s*([a-z0-9_-]{1,40})\s*=\s*(\"[^\"]{0,500}\"|[^\s\";]{1,500})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one method found. Properties by `ptype.name`, in lower case as are their values."""

    method: str
    result: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def domain(self, name: str) -> str:
        """The domain of a property that is a domain or an address."""
        return self.properties.get(name, "").rpartition("@")[2]


def of(fields: Sequence[str], authserv_id: str) -> list[Result]:
    """The results of the topmost field that bears this name. Others may be anybody's, and count nothing."""
    wanted = authserv_id.lower()
    for value in fields:
        parts = _without_comments(value[:_VALUE_LIMIT]).split(";")
        name = parts[0].split()[:1]
        if name and name[0].strip('"').lower().rstrip(".") == wanted:
            return [one for one in map(_result, parts[1 : _RESULTS + 1]) if one is not None]
    return []


def _result(text: str) -> Result | None:
    text = text.strip().lower()
    method = _METHOD.match(text)
    if method is None:
        return None
    found = {f"{one[1]}.{one[2]}": one[3].strip('"') for one in _PROPERTY.finditer(text, method.end())}
    return Result(method[1], method[2], found)


def _without_comments(text: str) -> str:
    """Comments (RFC 5322 section 3.2.2) out, quoted strings left: what stands in either may hold `;`,
    which becomes a space."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for letter in text:
        if escaped:
            escaped = False
        elif letter == "\\" and (depth or quoted):
            escaped = True
            continue
        elif quoted or not depth:
            quoted ^= letter == '"'
            if not quoted and letter == "(":
                depth += 1
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            continue
        if not depth:
            kept.append(" " if quoted and letter == ";" else letter)
    return "".join(kept)
