"""Holds every exchange with the phone's stand-in, and every event that it posts, against a description of
the app's API: `android_api.json`, written from what its makers publish."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30Validator

from tests.support.twilio_contract import counted

_FILE = Path(__file__).with_name("android_api.json")
_HOST = "http://phone.invalid"


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


@cache
def _openapi() -> OpenAPI:
    return OpenAPI.from_dict(_document())


@dataclass
class Report:
    """What has been checked."""

    requests: Counter[str] = field(default_factory=Counter)  # by method and path
    events: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def check(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, status: int, answer: bytes
    ) -> None:
        """One exchange; `status` 0 where the line was cut. Never raises for what is wrong with it."""
        self.requests[f"{method} /{path.split('/')[1]}"] += 1
        request = MockRequest(
            _HOST,
            method,
            path,
            headers=dict(headers),
            data=body,
            content_type="application/json" if body else "",
        )
        # What the app itself refuses need not be right; its own words must be.
        if status < 400:
            self._held(f"{method} {path}", lambda: _openapi().validate_request(request))
        if status and (status < 500 or answer[:1] == b"{"):
            response = MockResponse(answer, status, content_type="application/json")
            self._held(f"{method} {path} {status}", lambda: _openapi().validate_response(request, response))

    def check_event(self, event: Mapping[str, Any]) -> None:
        self.events[event["event"]] += 1
        schemas = _document()["components"]["schemas"]
        for name, value in (("Event", event), (f"Event {event['event']}", event["payload"])):
            errors = OAS30Validator(schemas[name]).iter_errors(value)
            self.faults += [f"{name}: {error.message}" for error in errors]

    def lines(self) -> list[str]:
        """The report, to be read."""
        lines = [f"  {name}: {counted(n, 'request')}" for name, n in sorted(self.requests.items())]
        lines += [f"  web-hook {name}: {counted(n, 'event')}" for name, n in sorted(self.events.items())]
        total = counted(sum(self.requests.values()), "request")
        refused = f"{len(self.faults)} refused" if self.faults else "none refused"
        return [*lines, f"  {total}: {refused}.", *(f"  ✗ {it}" for it in self.faults)]

    def _held(self, name: str, judge: Any) -> None:
        try:
            judge()
        except OpenAPIError as error:
            causes = "; ".join(map(str, getattr(error.__cause__, "schema_errors", ()) or ()))
            self.faults.append(f"{name}: {error!r} {error.__cause__ or ''} {causes}".strip()[:1000])
