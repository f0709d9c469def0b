"""What the stand-in for Twilio's API keeps and says: texts, scripted faults, signatures. Pure.

Shapes are those of Twilio's OpenAPI file for the Messages resource, version 2010-04-01.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

API_VERSION = "2010-04-01"

# A status never goes back to a lower rank; among the last ones the first stays.
RANK = {
    "accepted": 0,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "delivered": 4,
    "undelivered": 4,
    "failed": 4,
    "canceled": 4,
    "read": 5,
}


@dataclass(frozen=True, slots=True)
class MmsFile:
    """A file of a text. `redirect`: where its URL leads instead of to the store; `streams`: without end."""

    media_type: str
    data: bytes = b""
    redirect: str = ""
    streams: bool = False
    sid: str = field(default_factory=lambda: f"ME{uuid.uuid4().hex}")


@dataclass(slots=True)
class Text:
    """One message as the carrier knows it."""

    sid: str
    account: str
    sender: str
    recipient: str
    body: str
    status: str
    inbound: bool
    created: datetime
    status_callback: str = ""
    sent: datetime | None = None
    error_code: int | None = None
    media: tuple[MmsFile, ...] = ()
    service: str = ""  # SID of the Messaging Service that it was sent through

    def advance(self, status: str, error_code: int | None) -> bool:
        """Go on to a status; whether it is new. The first error code stays."""
        if RANK[status] <= RANK.get(self.status, 0):
            return False
        self.status = status
        self.error_code = self.error_code or error_code
        if RANK[status] >= RANK["sent"]:
            self.sent = self.sent or datetime.now(UTC)
        return True

    def resource(self) -> dict[str, object]:
        """The Message resource that the API answers with."""
        base = f"/{API_VERSION}/Accounts/{self.account}/Messages/{self.sid}"
        return {
            "account_sid": self.account,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created),
            "date_sent": rfc2822(self.sent),
            "date_updated": rfc2822(self.sent or self.created),
            "direction": "inbound" if self.inbound else "outbound-api",
            "error_code": self.error_code,
            "error_message": None if self.error_code is None else f"Error {self.error_code}",
            "from": self.sender,
            "messaging_service_sid": self.service or None,
            "num_media": str(len(self.media)),
            "num_segments": str(_segments(self.body)),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{base}/Media.json"},
            "to": self.recipient,
            "uri": f"{base}.json",
        }


def new_sid() -> str:
    return f"SM{uuid.uuid4().hex}"


def rfc2822(moment: datetime | None) -> str | None:
    """A time as Twilio's API writes it."""
    return None if moment is None else format_datetime(moment)


def _segments(body: str) -> int:
    units, alone, chained = (
        (len(body), 160, 153) if body.isascii() else (len(body.encode("utf-16-le")) // 2, 70, 67)
    )
    return 1 if units <= alone else -(-units // chained)


# --- scripted faults: what happens to the next text for a number ---


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error answer in Twilio's form; nothing is taken."""

    code: int
    status: int = 400
    message: str = "The request was refused."


@dataclass(frozen=True, slots=True)
class Throttle:
    """429 with Retry-After; nothing is taken."""

    retry_after: str = "1"
    code: int = 20429


@dataclass(frozen=True, slots=True)
class BadGateway:
    """A proxy's HTML page instead of an answer."""

    taken: bool = False
    status: int = 502


@dataclass(frozen=True, slots=True)
class Drop:
    """The line is cut instead of an answer."""

    taken: bool = True


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer for so many seconds."""

    seconds: float
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Goes:
    """Taken; then these statuses are reported, in this order, repeats and all.

    `early`: before the 201 goes out.
    """

    statuses: tuple[str, ...]
    error_code: int | None = None
    early: bool = False


Fault = Refuse | Throttle | BadGateway | Drop | Hang | Goes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to the API and what it was answered; `status` is 0 where the line was cut."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    form: str
    status: int
    content_type: str
    answer: bytes


def error_answer(code: int, status: int, message: str) -> dict[str, object]:
    """The body of an error, as Twilio words it."""
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def signature(token: str, url: str, form: Iterable[tuple[str, str]]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1 over the URL and the sorted fields run together."""
    signed = url + "".join(name + value for name, value in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode("ascii")


def inbound_form(text: Text, api_url: str = "", opt: str = "") -> list[tuple[str, str]]:
    """What Twilio posts to a number's web-hook, blank fields included. `opt` is its verdict on STOP words."""
    base = f"{api_url}/{API_VERSION}/Accounts/{text.account}/Messages/{text.sid}/Media"
    return [
        ("ToCountry", "US"),
        ("ToState", ""),
        ("SmsMessageSid", text.sid),
        ("NumMedia", str(len(text.media))),
        ("ToCity", ""),
        ("FromZip", ""),
        ("SmsSid", text.sid),
        ("FromState", ""),
        ("SmsStatus", "received"),
        ("FromCity", ""),
        ("Body", text.body),
        ("FromCountry", "US"),
        ("To", text.recipient),
        ("ToZip", ""),
        ("NumSegments", "1"),
        ("MessageSid", text.sid),
        ("AccountSid", text.account),
        ("From", text.sender),
        ("ApiVersion", API_VERSION),
        *((f"MediaContentType{index}", one.media_type) for index, one in enumerate(text.media)),
        *((f"MediaUrl{index}", f"{base}/{one.sid}") for index, one in enumerate(text.media)),
        *([("OptOutType", opt)] if opt else []),
    ]


def status_form(text: Text, status: str, code: int | None) -> list[tuple[str, str]]:
    """What Twilio posts to a StatusCallback."""
    return [
        ("SmsSid", text.sid),
        ("SmsStatus", status),
        ("MessageStatus", status),
        ("To", text.recipient),
        ("MessageSid", text.sid),
        ("AccountSid", text.account),
        ("From", text.sender),
        ("ApiVersion", API_VERSION),
        *([("ErrorCode", str(code))] if code else []),
    ]


def is_number(number: str) -> bool:
    """Whether the API would take this as a recipient: E.164, or a short code."""
    digits = number.removeprefix("+")
    return digits.isdecimal() and (8 <= len(digits) <= 15 if number.startswith("+") else len(digits) <= 8)
