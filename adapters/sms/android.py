"""A phone of one's own as the provider: the app "SMS Gateway for Android" and its local HTTP API.

From the app's published API description (capcom6/android-sms-gateway, swagger.json) and its page on
web-hooks. A text carries an id of ours, so that its fate can be asked for and a second post of the same
is refused (409) by the phone itself. The app posts an event again with a new event id: what arrived is
told apart by sender, time and words.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from adapters.sms import numbers
from adapters.sms.provider import (
    Arrived,
    Candidates,
    Hooks,
    Listed,
    Media,
    NotFetched,
    NotListed,
    Rejected,
    Status,
    Text,
)
from adapters.sms.settings import SmsSettings
from bridge.i18n import tr
from bridge.model import DeliveryId, Outcome
from bridge.ports import Fate, MaybeSent, Refused, Scope, Sent, TryLater, WebRequest, WebResponse

# In version 1.68 and later a picture message is posted whole; before, only that one has come.
MMS, MMS_ANNOUNCED = "mms:downloaded", "mms:received"
EVENTS = ("sms:received", "sms:sent", "sms:delivered", "sms:failed", "sms:cancelled", MMS)
_OPTIONAL = ("sms:cancelled", MMS)  # an older app does not know them
_CLOCKS_APART = 3600.0  # seconds that the phone's clock may be off; a replay is known by its words
_LONGEST_ANSWER = 2**18
_OUTCOMES = {
    "Sent": Outcome.SENT,
    "Delivered": Outcome.DELIVERED,
    "Failed": Outcome.FAILED,
    "Cancelled": Outcome.FAILED,
}
_EVENTS = {
    "sms:sent": Outcome.SENT,
    "sms:delivered": Outcome.DELIVERED,
    "sms:failed": Outcome.FAILED,
    "sms:cancelled": Outcome.FAILED,
}
_MOST_FILES = 20
_AWAY = tr("The phone that sends for the gateway can't be reached at the moment.")
_LINE_BROKE = tr(
    "The line to the phone that sends for the gateway broke while it was taking this text; whether it goes "
    "is being found out."
)


@dataclass(frozen=True, slots=True)
class Door:
    """The web-hook that the app posts to: Hooks of adapters.sms.provider."""

    transport: str
    public_url: str
    settings: SmsSettings
    mark_key: bytes = b""

    def read(self, request: WebRequest) -> Arrived | Status | None:
        if request.path != f"/hooks/{self.transport}/android":
            raise Rejected(404, "There is no such web-hook.")
        if request.method != "POST":
            raise Rejected(405, "This web-hook takes POST.")
        self._check_signature(request)
        try:
            event = json.loads(request.body)
            return self._event(str(event["event"]), event["payload"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected(400, "That is no event of the app.") from error

    def acknowledge(self, event: Arrived | Status | None) -> WebResponse:
        return WebResponse(status=204)

    def callback_url(self, delivery: DeliveryId) -> str:
        return ""  # the app reports all to one place; the id that we give a text tells which it is

    def reference(self, delivery: DeliveryId, uid: str) -> str:
        """At most 36 characters; the mark tells our own ids from whatever else the phone sends."""
        stem = f"{delivery}.{uid[:10]}"
        return f"{stem}.{self._mark(stem)}"

    def inbound_url(self) -> str:
        return f"{self.public_url}/hooks/{self.transport}/android" if self.public_url else ""

    def _check_signature(self, request: WebRequest) -> None:
        """HMAC-SHA256 in hex over the body and the X-Timestamp header behind it."""
        stamp = request.headers.get("x-timestamp", "")
        key = self.settings.signing_key.get_secret_value().encode()
        expected = hmac.digest(key, request.body + stamp.encode(), hashlib.sha256).hex()
        given = request.headers.get("x-signature", "").lower()
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise Rejected(403, "The signature is missing or wrong.")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > _CLOCKS_APART:
            raise Rejected(403, "The time stamp is an hour off: look at the phone's clock.")

    def _event(self, name: str, payload: Mapping[str, Any]) -> Arrived | Status | None:
        if name in ("sms:received", MMS, MMS_ANNOUNCED):
            return self._arrived(name, payload)
        if name not in _EVENTS:
            return None
        reference = str(payload["messageId"])
        reason = str(payload.get("reason") or "").strip()[:200]
        told = tr("The phone could not send this text: {reason}.", reason=reason or tr("it does not say why"))
        return Status(
            sid=reference,
            outcome=_EVENTS[name],
            sender=self._number(payload, str(payload.get("sender") or "")),
            recipient="",
            reason=tr("This text was cancelled on the phone.") if name == "sms:cancelled" else told,
            delivery=self._delivery_in(reference),
        )

    def _arrived(self, name: str, payload: Mapping[str, Any]) -> Arrived:
        sender = str(payload.get("sender") or payload["phoneNumber"])
        at = str(payload.get("receivedAt") or "")
        subject, body = str(payload.get("subject") or ""), str(payload.get("body") or "")
        files: tuple[Media, ...] = ()
        if name == "sms:received":
            words = [str(payload.get("message") or "")]
        elif name == MMS:
            words = [subject, body]
            files = tuple(map(_media, payload["attachments"][:_MOST_FILES]))
        else:
            words = [subject, "(a picture message came; it can be seen on the phone)"]
        # The id that the app gives is made from the content; what one day's texts have in common, too.
        told = (name, sender, at, *words, str(payload.get("transactionId") or ""))
        if name == MMS:
            told = (*told, str(payload.get("messageId") or ""))
        digest = hashlib.blake2b("\0".join(told).encode("utf-8", "replace"), digest_size=16)
        return Arrived(
            sid=f"and-{digest.hexdigest()}",
            sender=sender,
            recipient=self._number(payload, str(payload.get("recipient") or "")),
            body="\n".join(filter(None, words)),
            media=files,
            at=_seconds(at),
        )

    def _number(self, payload: Mapping[str, Any], named: str) -> str:
        """Which of our numbers an event is about: as it is named, or by its SIM, else the first."""
        known = numbers.inbound(named, self.settings.region).canonical if named else ""
        if known in self.settings.numbers:
            return known
        slot = payload.get("simNumber")
        for number, sim in self.settings.sims.items():
            if sim == slot:
                return number
        return self.settings.numbers[0]

    def _delivery_in(self, reference: str) -> DeliveryId | None:
        stem, _, mark = reference.rpartition(".")
        number = stem.partition(".")[0]
        if not (number.isascii() and number.isdecimal() and len(number) < 20):
            return None
        return DeliveryId(int(number)) if hmac.compare_digest(self._mark(stem), mark) else None

    def _mark(self, stem: str) -> str:
        digest = hmac.digest(self.mark_key, f"{self.transport} {stem}".encode(), hashlib.sha256)
        return base64.b32encode(digest[:10]).decode("ascii").lower()[:10]


class Phone:
    """One phone. Use `connected` to make one."""

    def __init__(self, session: aiohttp.ClientSession, settings: SmsSettings) -> None:
        self._session = session
        self._settings = settings
        self._trouble = ""

    @property
    def trouble(self) -> str:
        return self._trouble

    async def submit(self, text: Text) -> Fate:
        """POST the text, once. 409 says that the phone has it already."""
        wanted: dict[str, Any] = {
            "id": text.reference,
            "textMessage": {"text": text.body},
            "phoneNumbers": [text.recipient],
            "withDeliveryReport": True,
            "ttl": max(text.validity_seconds, 5),
        }
        if (sim := self._settings.sims.get(text.sender)) is not None:
            wanted["simNumber"] = sim
        try:
            status, answer = await self._ask("POST", "/messages", wanted)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self._trouble = "The phone can't be reached: check api_url, its network, and that the app runs."
            return TryLater(_AWAY, scope=Scope.OUTLET)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self._trouble = "The phone's answers break off; what became of such texts is looked up."
            return MaybeSent(_LINE_BROKE)
        return self._fate(status, answer, text.reference)

    def _fate(self, status: int, answer: Any, reference: str) -> Fate:
        if status in (200, 201, 202, 409):
            self._trouble = ""
            return Sent(reference)
        if status in (401, 403, 404):
            self._trouble = f"The phone answers {status}: check username, password and api_url. Texts wait."
            return TryLater(tr("The phone does not accept the gateway's login."), scope=Scope.OUTLET)
        if status in (429, 503):
            return TryLater(tr("The phone is taking no more texts for a moment."), scope=Scope.OUTLET)
        if 400 <= status < 500:
            said = str(answer.get("message", "")) if isinstance(answer, dict) else ""
            return Refused(
                tr("The phone refused this text: {reason}.", reason=said[:200] or status), code=str(status)
            )
        return MaybeSent(_LINE_BROKE)

    async def candidates(self, text: Text, not_before: float) -> Candidates:
        try:
            status, answer = await self._ask("GET", f"/messages/{text.reference}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotListed(type(error).__name__) from error
        if status == 404:
            return Candidates([], complete=True)
        if status != 200 or not isinstance(answer, dict):
            raise NotListed(f"the phone answers {status}")
        outcome = _OUTCOMES.get(str(answer.get("state")))
        return Candidates([Listed(text.reference, text.body, 0, not_before, outcome)], complete=True)

    async def arrivals(self, number: str, since: float) -> Sequence[Arrived]:
        return ()  # the app posts what we missed by itself, for two days

    async def outcomes(self, number: str, since: float) -> Sequence[Status]:
        return ()

    async def fetch(self, sid: str, media: Media) -> bytes:
        raise NotFetched(tr("It was not handed over."))

    async def discard(self, sid: str, media: Media) -> None:
        raise NotFetched(tr("It stays on the phone."))

    async def set_up(self, hooks: Hooks, *, apply: bool) -> list[str]:
        """Have the app post its events to us: one web-hook for each, under ids of ours."""
        url = hooks.inbound_url()
        if not url:
            raise OSError("gateway.public_url is not set: the phone could not reach us. Set it first.")
        try:
            status, present = await self._ask("GET", "/webhooks")
            if status != 200 or not isinstance(present, list):
                raise OSError(f"The phone answers {status}: check username, password and api_url.")
            ours = {str(one["event"]): str(one["id"]) for one in present if one.get("url") == url}
            lines: list[str] = []
            for event in EVENTS:
                if event not in ours:
                    lines += await self._post_hook(event, url, ours, apply=apply)
            if MMS in ours and MMS_ANNOUNCED in ours:
                lines.append(
                    f"{MMS_ANNOUNCED}: the app posts it to {url}, and picture messages whole besides"
                )
                if apply:
                    await self._ask("DELETE", f"/webhooks/{ours[MMS_ANNOUNCED]}")
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError, KeyError) as error:
            raise OSError(f"The phone can't be asked ({type(error).__name__}): check api_url.") from error
        return lines

    async def _post_hook(self, event: str, url: str, ours: dict[str, str], *, apply: bool) -> list[str]:
        """Register one web-hook, if `apply`; the differences. An old app takes the next best event."""
        line = f"{event}: the app does not post it to {url}"
        if not apply:
            too_old = " (before version 1.68 it can't)" if event == MMS and MMS_ANNOUNCED in ours else ""
            return [line + too_old]
        wanted = {"id": f"passerelle-{event.replace(':', '-')}", "url": url, "event": event}
        status, _ = await self._ask("POST", "/webhooks", wanted)
        if status in (200, 201):
            ours[event] = wanted["id"]
            return [line]
        if event not in _OPTIONAL:
            raise OSError(f"The phone refused the web-hook for {event} ({status}): {url}")
        if event == MMS and MMS_ANNOUNCED not in ours:
            lines = await self._post_hook(MMS_ANNOUNCED, url, ours, apply=True)
            return [*lines, "picture messages are announced only: update the app to 1.68 or later"]
        return []

    def carrier_refused(self, sender: str, code: int) -> None:
        """The app tells no codes."""

    async def _ask(self, method: str, path: str, wanted: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer; None where there is none. Raises aiohttp's errors, TimeoutError."""
        async with self._session.request(
            method, f"{self._settings.api_url}{path}", json=wanted, allow_redirects=False
        ) as answer:
            body = await answer.content.read(_LONGEST_ANSWER)
            return answer.status, json.loads(body) if body.strip() and answer.status < 500 else None


@asynccontextmanager
async def connected(settings: SmsSettings) -> AsyncIterator[Phone]:
    """A phone with a session of its own, closed at the end. Connects to nobody yet."""
    seconds = settings.timeout_seconds
    login = f"{settings.username}:{settings.password.get_secret_value()}"
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Basic {base64.b64encode(login.encode()).decode('ascii')}"},
        timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(5.0, seconds)),
        connector=aiohttp.TCPConnector(limit=4, keepalive_timeout=10.0),
    ) as session:
        yield Phone(session, settings)


def _media(part: Mapping[str, Any]) -> Media:
    """One part of a picture message. Raises KeyError, TypeError, AttributeError for what is none."""
    kind, name = str(part["contentType"]), str(part.get("name") or "")
    return Media("", kind, name, str(part.get("data") or ""))


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None
