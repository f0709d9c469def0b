"""Holds every exchange with the stand-in against Twilio's own OpenAPI file, and keeps the account.

Stricter than the file in one way: a parameter that it does not name is a fault, too.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from bridge.demo.shelves import is_content
from bridge.demo.texts import Exchange
from tests.support.fetch_twilio_contract import TARGET

_HOST = "https://api.twilio.com"
_ACCOUNT = "/2010-04-01/Accounts/{AccountSid}/"
_WANTED = ("/Messages", "/IncomingPhoneNumbers.json", "/IncomingPhoneNumbers/{Sid}.json")


@cache
def _document() -> dict[str, Any]:
    """The part of Twilio's file that is of use here: all of it takes seconds to check."""
    if not TARGET.exists():
        raise FileNotFoundError(f"{TARGET} is missing: run python -m tests.support.fetch_twilio_contract")
    whole = json.loads(TARGET.read_text(encoding="utf-8"))
    paths = {
        path: item
        for path, item in whole["paths"].items()
        if path.startswith("/2010-04-01/Accounts/{AccountSid}" + _WANTED[0]) or path.endswith(_WANTED[1:])
    }
    return {**whole, "paths": paths}


@cache
def _openapi() -> OpenAPI:
    return OpenAPI.from_dict(_document())


def prepare() -> None:
    """Read the file now, for tests that count seconds."""
    _openapi()


@dataclass
class Report:
    """What has been checked: give `check` to the stand-in."""

    requests: Counter[str] = field(default_factory=Counter)  # by operation
    parameters: Counter[str] = field(default_factory=Counter)  # by operation and parameter
    answers: Counter[str] = field(default_factory=Counter)  # by operation and status
    faults: list[str] = field(default_factory=list)

    def check(self, exchange: Exchange) -> None:
        """Take one exchange into account; never raises for what is wrong with it."""
        if is_content(exchange.path):
            self.requests["GET (a file's content; Twilio's file describes the API only)"] += 1
            return
        pattern, operation = _operation(exchange)
        if operation is None:
            self.faults.append(f"{exchange.method} {exchange.path}: no such operation")
            return
        name = f"{exchange.method} {pattern}"
        self.requests[name] += 1
        for given in (exchange.query, exchange.form):
            for parameter, _ in parse_qsl(given, keep_blank_values=True):
                self.parameters[f"{name} {parameter}"] += 1
                if parameter not in _named(operation):
                    self.faults.append(f"{name}: no parameter {parameter}")
        request = _request(exchange)
        self._held(name, lambda: _openapi().validate_request(request))
        # The file describes success alone; errors have a form of their own, and a cut line none.
        if str(exchange.status) in operation["responses"]:
            self.answers[f"{name} {exchange.status}"] += 1
            response = MockResponse(exchange.answer, exchange.status, content_type=exchange.content_type)
            self._held(name, lambda: _openapi().validate_response(request, response))

    def lines(self) -> list[str]:
        """The report, to be read: each operation with its answers, and its parameters below."""
        lines = []
        for name, count in sorted(self.requests.items()):
            answers = [
                f"{key.rpartition(' ')[2]} ×{n}"
                for key, n in sorted(self.answers.items())
                if key.rpartition(" ")[0] == name
            ]
            said = f", answered {', '.join(answers)}" if answers else ""
            lines.append(f"  {name.replace(_ACCOUNT, '')}: {counted(count, 'request')}{said}")
            parameters = [
                f"{key.removeprefix(name).strip()} ×{n}"
                for key, n in sorted(self.parameters.items())
                if key.rpartition(" ")[0] == name
            ]
            lines += [f"      {', '.join(parameters)}"] if parameters else []
        total = counted(sum(self.requests.values()), "request")
        parameters_total = counted(sum(self.parameters.values()), "parameter")
        refused = f"{len(self.faults)} refused" if self.faults else "none refused"
        return [*lines, f"  {total}, {parameters_total}: {refused}.", *(f"  ✗ {it}" for it in self.faults)]

    def _held(self, name: str, judge: Callable[[], object]) -> None:
        try:
            judge()
        except OpenAPIError as error:
            causes = "; ".join(map(str, getattr(error.__cause__, "schema_errors", ()) or ()))
            self.faults.append(f"{name}: {error!r} {error.__cause__ or ''} {causes}".strip()[:1000])


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _named(operation: dict[str, Any]) -> set[str]:
    """Every parameter that the file has for an operation, in query and form."""
    contents = operation.get("requestBody", {}).get("content", {}).values()
    return {parameter["name"] for parameter in operation.get("parameters", ())}.union(
        *(content["schema"]["properties"] for content in contents)
    )


def _operation(exchange: Exchange) -> tuple[str, dict[str, Any] | None]:
    """The path's pattern in Twilio's file, and the operation there."""
    given = exchange.path.split("/")
    for pattern, item in _document()["paths"].items():
        parts = pattern.split("/")
        if len(parts) == len(given) and all(map(_fits, parts, given)):
            return pattern, item.get(exchange.method.lower())
    return exchange.path, None


def _fits(pattern: str, given: str) -> bool:
    head, brace, tail = pattern.partition("{")
    return pattern == given if not brace else given.startswith(head) and given.endswith(tail.split("}")[1])


def _request(exchange: Exchange) -> MockRequest:
    content_type = next(
        (value for name, value in exchange.headers.items() if name.lower() == "content-type"), ""
    )
    return MockRequest(
        _HOST,
        exchange.method,
        exchange.path,
        args=dict(parse_qsl(exchange.query, keep_blank_values=True)),
        headers=dict(exchange.headers),
        data=exchange.form.encode(),
        content_type=content_type,
    )
