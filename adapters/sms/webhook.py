"""Lets in only what Twilio signed, and marks the call-backs of our own texts. Records nothing.

What Twilio signs is the URL that it was given: the configured public base, then path and query as they
came. X-Forwarded-* and Host are never read: anybody can write those.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, quote

from multidict import MultiDict
from twilio.request_validator import RequestValidator

from adapters.sms import forms
from adapters.sms.provider import Arrived, Rejected, Status
from bridge.model import DeliveryId
from bridge.ports import WebRequest, WebResponse

_OURS = re.compile(r"d=(?P<d>[0-9]+)&s=(?P<s>[0-9a-f]+)")
_SIGNATURES = ("x-twilio-signature", "x-signalwire-signature")  # computed alike, each with its own key
LARGEST_BODY = 256 * 1024  # bytes
_MOST_FIELDS = 500

TWIML_NOTHING = WebResponse(
    content_type="text/xml", body=b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
)
NOTED = WebResponse(status=204)


class Hook(StrEnum):
    MESSAGE = "message"  # a text for one of our numbers
    STATUS = "status"  # what became of a text of ours


@dataclass(frozen=True, slots=True)
class Door:
    """The web-hooks of one transport, as Twilio calls them: Hooks of adapters.sms.provider."""

    transport: str
    public_url: str  # no slash at its end; empty closes the door
    validator: RequestValidator
    callback_key: bytes
    region: str = "US"

    def read(self, request: WebRequest) -> Arrived | Status | None:
        hook, form = self.admit(request)
        try:
            if hook is Hook.MESSAGE:
                return forms.arrived(form)
            return forms.status(form, self.region, self.delivery_in(request.query))
        except forms.UnreadableForm as error:
            raise Rejected(400, "The form lacks something.") from error

    def acknowledge(self, event: Arrived | Status | None) -> WebResponse:
        return TWIML_NOTHING if isinstance(event, Arrived) else NOTED

    def reference(self, delivery: DeliveryId, uid: str) -> str:
        return ""  # Twilio takes no name of ours: the call-back's URL carries it

    def inbound_url(self) -> str:
        """Where texts for our numbers are to be posted; empty without a public URL."""
        return f"{self.public_url}{self._path(Hook.MESSAGE)}" if self.public_url else ""

    def admit(self, request: WebRequest) -> tuple[Hook, Mapping[str, str]]:
        """Which hook a request is for, and its form. Raises Rejected."""
        hook = self._hook(request.path)
        if request.method != "POST":
            raise Rejected(405, "This web-hook takes POST.")
        if len(request.body) > LARGEST_BODY:
            raise Rejected(413, "The form is too large.")
        form = _form(request)
        if not self._signed(request, form):
            raise Rejected(403, "The signature is missing or wrong.")
        return hook, form

    def callback_url(self, delivery: DeliveryId) -> str:
        """Where the provider reports on a delivery; empty without a public URL."""
        if not self.public_url:
            return ""
        return f"{self.public_url}{self._path(Hook.STATUS)}?d={delivery}&s={self._mark(delivery)}"

    def delivery_in(self, query: str) -> DeliveryId | None:
        """The delivery that a call-back's URL names, or None when its mark is not ours."""
        found_plain = _OURS.fullmatch(query)  # as we wrote it; whoever passes it on may add or reorder
        values = found_plain.groupdict() if found_plain else dict(parse_qsl(query))
        number, mark = values.get("d", ""), values.get("s", "")
        if not (number.isascii() and number.isdecimal() and len(number) < 20):
            return None
        found = DeliveryId(int(number))
        return found if hmac.compare_digest(self._mark(found).encode(), mark.encode()) else None

    def _hook(self, path: str) -> Hook:
        for hook in Hook:
            if path == self._path(hook):
                return hook
        raise Rejected(404, "There is no such web-hook.")

    def _path(self, hook: Hook) -> str:
        return f"/hooks/{quote(self.transport)}/{hook}"

    def _signed(self, request: WebRequest, form: Mapping[str, str]) -> bool:
        signature = next((request.headers[name] for name in _SIGNATURES if name in request.headers), "")
        if not signature or not self.public_url:
            return False
        url = self.public_url + request.path + (f"?{request.query}" if request.query else "")
        # Nearly always it is just that URL that was signed; the validator also tries it with and without
        # its port, at three times the cost.
        expected = self.validator.compute_signature(url, form)
        return hmac.compare_digest(expected.encode(), signature.encode()) or bool(
            self.validator.validate(url, form, signature)
        )

    def _mark(self, delivery: DeliveryId) -> str:
        # Not hmac.digest: that lets another thread in for so little work, and waits for its turn afterwards.
        said = f"{self.transport} {delivery}".encode()
        digest = hmac.new(self.callback_key, said, hashlib.sha256).digest()
        return digest[:20].hex()


def _form(request: WebRequest) -> MultiDict[str]:
    """The form's fields, blank ones included, as they are part of what was signed. Raises Rejected."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Rejected(403, "Only signed forms are taken here.")
    try:
        return MultiDict(
            parse_qsl(
                request.body.decode("utf-8"),
                keep_blank_values=True,
                max_num_fields=_MOST_FIELDS,
                errors="strict",
            )
        )
    except ValueError as error:
        raise Rejected(403, "The form can't be read, so its signature can't be checked.") from error
