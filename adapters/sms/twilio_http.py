"""What Twilio's official client speaks through. Knows no texts: requests in, answers out.

The package's own HTTP client ignores its timeout and repeats the POST on a 5xx, three texts for one;
ours has one total timeout (its session's) and never repeats.
"""

import base64
import json
import logging
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote_plus, urlsplit

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from adapters.sms import refusals

_OFFICIAL = "https://api.twilio.com"
_LONGEST_ANSWER = 2**20  # bytes
_LONGEST_WAIT = 3600.0  # seconds that a Retry-After may ask for


class NotReached(Exception):
    """No connection came about: nothing has been sent."""


class Throttled(Exception):
    """429, with what the client's exceptions leave out: for how long."""

    def __init__(self, code: int, retry_after: float | None) -> None:
        super().__init__(code, retry_after)
        self.code = code
        self.retry_after = retry_after


class HttpClient(AsyncHttpClient):  # type: ignore[misc]  # the package has no types
    """What Twilio's client speaks through: a real timeout, no retries, the settings' base URL."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str) -> None:
        super().__init__(logging.getLogger("twilio.passerelle"), True)
        self._session = session
        self._api_url = api_url

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **_settled: object,  # its timeout and redirects: the session has ours
    ) -> Response:
        sent_headers = dict(headers or {})
        if auth:
            sent_headers["Authorization"] = basic(*auth)
        try:
            async with self._session.request(
                method,
                absolute(self._api_url, url),
                params=_flat(params),
                data=_form(data) if method == "POST" else None,
                headers=sent_headers,
                allow_redirects=False,
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotReached from error
        if answer.status == 429:
            raise Throttled(_code_in(body), _retry_after(answer.headers.get("Retry-After", ""), time.time()))
        return Response(answer.status, body, answer.headers)


def absolute(api_url: str, path: str) -> str:
    """The URL of a path of the API's. Where the API stands below a path of its own, as at SignalWire, its
    answers name pages and files with that path, and the client, which knows Twilio's API, without."""
    base, path = urlsplit(api_url).path, path.removeprefix(_OFFICIAL)
    return api_url + (path.removeprefix(base) if path.startswith(f"{base}/") else path)


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _flat(pairs: Mapping[str, object] | None) -> list[tuple[str, str]] | None:
    """Parameters as text, those with several values repeated."""
    if pairs is None:
        return None
    return [
        (name, str(item))
        for name, value in pairs.items()
        for item in (value if isinstance(value, list | tuple) else (value,))
    ]


def _form(pairs: Mapping[str, object] | None) -> bytes:
    """Parameters as a form. Their names need no quoting, and numbers have been quoted before."""
    return "&".join(
        f"{name}={_quoted_number(value) if name in _NUMBERS else quote_plus(value)}"
        for name, value in _flat(pairs) or ()
    ).encode("ascii")


_NUMBERS = frozenset({"To", "From"})
_quoted_number = lru_cache(maxsize=2048)(quote_plus)


async def _read(answer: aiohttp.ClientResponse) -> str:
    body = b""
    async for chunk in answer.content.iter_chunked(2**16):
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            raise aiohttp.ClientPayloadError("an answer of over 1 MiB")
    return body.decode("utf-8", "replace")


def _code_in(body: str) -> int:
    try:
        payload = json.loads(body)
    except ValueError:
        return 0
    return refusals.known_code(payload.get("code")) if isinstance(payload, dict) else 0


def _retry_after(value: str, now: float) -> float | None:
    """Seconds that a Retry-After header (RFC 9110, section 10.2.3) asks for; None without a sound one."""
    try:
        seconds = (
            float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - now
        )
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)
