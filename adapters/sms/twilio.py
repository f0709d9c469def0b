"""Twilio's Messages API, by its official client on an HTTP client of ours. Decides no address and
keeps no record: one text in, one fate out.

The package's own HTTP client ignores its timeout and repeats the POST on a 5xx, three texts for one;
ours has one total timeout and never repeats.
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from adapters.sms import refusals
from bridge.ports import Fate, MaybeSent, Scope, Sent, TryLater

_OFFICIAL = "https://api.twilio.com"
_LONGEST_ANSWER = 2**20  # bytes
_LONGEST_WAIT = 3600.0  # seconds that a Retry-After may ask for
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 10.0  # below what servers keep: a POST on a line just closed has an unknown fate
_NO_ENVIRONMENT = {"TWILIO_REGION": ""}  # the settings speak, not variables that happen to be set
_NOBODY_ANSWERED = "The SMS provider can't be reached at the moment."
_NO_SOUND_ANSWER = "Twilio's API breaks off or answers with a fault; what became of such texts is looked up."
_LINE_BROKE = (
    "The line to the SMS provider broke while it was taking this text; whether it goes is being found out."
)


@dataclass(frozen=True, slots=True)
class Text:
    """One SMS to be sent. Addresses in the API's form; `status_callback` may be empty."""

    sender: str
    recipient: str
    body: str
    status_callback: str
    validity_seconds: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An outgoing text as Twilio's list shows it. `created_at` in whole seconds since 1970."""

    sid: str
    body: str
    media: int
    created_at: float
    status: str
    error_code: int


class NotListed(Exception):
    """The provider's list could not be read."""


class _NotReached(Exception):
    """No connection came about: nothing has been sent."""


class _Throttled(Exception):
    """429, with what the client's exceptions leave out: for how long."""

    def __init__(self, code: int, retry_after: float | None) -> None:
        super().__init__(code, retry_after)
        self.code = code
        self.retry_after = retry_after


class Twilio:
    """One account. Use `connected` to make one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._troubles: dict[str, str] = {}  # sentences for the admin, by our number; "" is the account

    @property
    def trouble(self) -> str:
        """What the admin must mend, or empty."""
        return next(iter(self._troubles.values()), "")

    async def submit(self, text: Text) -> Fate:
        """POST the text, once. Never raises for what the far end does."""
        try:
            made = await self._client.messages.create_async(**_parameters(text))
        except _NotReached:
            self._troubles[""] = "Twilio's API can't be reached: check api_url and the network. Texts wait."
            return TryLater(_NOBODY_ANSWERED, scope=Scope.OUTLET)
        except _Throttled as busy:
            return refusals.after_answer(429, busy.code, busy.retry_after)
        except (TwilioRestException, TwilioServiceException) as error:
            return self._after_refusal(text.sender, int(error.status), refusals.known_code(error.code))
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self._troubles[""] = _NO_SOUND_ANSWER
            return MaybeSent(_LINE_BROKE)  # ValueError: a success that is no JSON
        self._troubles.pop("", None)
        self._troubles.pop(text.sender, None)
        return Sent(made.sid) if made.sid else MaybeSent(_LINE_BROKE)

    async def listed(self, sender: str, recipient: str, limit: int) -> list[Listed]:
        """The newest texts between the two, newest first. Raises NotListed.

        Without DateSent filters: that is null until a text has been sent.
        """
        try:
            found = await self._client.messages.list_async(
                to=recipient, from_=sender, limit=limit, page_size=limit
            )
            return [_listed(message) for message in found if message.sid]
        except (_NotReached, _Throttled, TwilioException) as error:
            raise NotListed(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotListed(type(error).__name__) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotListed("the answer is not a list of messages") from error

    def carrier_refused(self, sender: str, code: int) -> None:
        """A report has told this code for a text from our number."""
        if refusals.is_about_sender(code):
            self._troubles[sender] = (
                f"Texts from {sender} are refused with {code}: check the number's registration and "
                "capabilities in Twilio's console."
            )

    def _after_refusal(self, sender: str, status: int, code: int) -> Fate:
        self.carrier_refused(sender, code)
        if refusals.is_about_account(status, code):
            self._troubles[""] = (
                f"Twilio's API answers {code or status}: check account_sid, auth_token and api_url, and that "
                "the account is active. Texts wait until it works."
            )
        elif status >= 500:
            self._troubles[""] = _NO_SOUND_ANSWER
        else:
            self._troubles.pop("", None)
        return refusals.after_answer(status, code)


@asynccontextmanager
async def connected(
    account_sid: str, auth_token: str, api_url: str, timeout_seconds: float
) -> AsyncIterator[Twilio]:
    """A client with a session of its own, closed at the end. Connects to nobody yet."""
    timeout = aiohttp.ClientTimeout(
        total=timeout_seconds, sock_connect=min(_CONNECT_SECONDS, timeout_seconds)
    )
    connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=_IDLE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        client = Client(
            account_sid, auth_token, http_client=_HttpClient(session, api_url), environment=_NO_ENVIRONMENT
        )
        # The first touch imports what the client is made of, 66 ms: not on the way of a first text.
        await asyncio.to_thread(getattr, client, "messages")
        yield Twilio(client)


class _HttpClient(AsyncHttpClient):  # type: ignore[misc]  # the package has no types
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
            sent_headers["Authorization"] = _basic(*auth)
        try:
            async with self._session.request(
                method,
                self._api_url + url.removeprefix(_OFFICIAL),
                params=_flat(params),
                data=urlencode(_flat(data) or []).encode("ascii") if method == "POST" else None,
                headers=sent_headers,
                allow_redirects=False,
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotReached from error
        if answer.status == 429:
            raise _Throttled(_code_in(body), _retry_after(answer.headers.get("Retry-After", ""), time.time()))
        return Response(answer.status, body, answer.headers)


def _parameters(text: Text) -> dict[str, Any]:
    wanted = {
        "to": text.recipient,
        "from_": text.sender,
        "body": text.body,
        "validity_period": text.validity_seconds,
    }
    return {**wanted, "status_callback": text.status_callback} if text.status_callback else wanted


def _listed(message: Any) -> Listed:
    created: datetime | None = message.date_created
    return Listed(
        sid=message.sid,
        body=message.body or "",
        media=int(message.num_media or 0),
        created_at=created.timestamp() if created else 0.0,
        status=str(message.status or ""),
        error_code=refusals.known_code(message.error_code),
    )


def _basic(username: str, password: str) -> str:
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
