"""Twilio's Messages API, by its official client on an HTTP client of ours. Decides no address and
keeps no record: one text in, one fate out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.rest import Client

from adapters.sms import forms, refusals
from adapters.sms.bindings import reaches_back
from adapters.sms.provider import (
    Arrived,
    Candidates,
    Hooks,
    Listed,
    Media,
    NotFetched,
    NotListed,
    Status,
    Text,
)
from adapters.sms.settings import SmsSettings
from adapters.sms.twilio_http import HttpClient, NotReached, Throttled, absolute, basic
from bridge import fetching
from bridge.i18n import tr
from bridge.ports import Fate, MaybeSent, Scope, Sent, TryLater

_CONNECT_SECONDS = 5.0
_LISTED = 50  # texts between two numbers that are looked through for one in doubt
_PAGE, _POLLED = 200, 1000  # texts in one answer, and in one look at what came
_IDLE_SECONDS = 10.0  # below what servers keep: a POST on a line just closed has an unknown fate
_NO_ENVIRONMENT = {"TWILIO_REGION": ""}  # the settings speak, not variables that happen to be set
_NOBODY_ANSWERED = tr("The SMS provider can't be reached at the moment.")
_NO_SOUND_ANSWER = "Twilio's API breaks off or answers with a fault; what became of such texts is looked up."
_LINE_BROKE = tr(
    "The line to the SMS provider broke while it was taking this text; whether it goes is being found out."
)


class Twilio:
    """One account. Use `connected` to make one."""

    def __init__(self, client: Client, settings: SmsSettings) -> None:
        self._client = client
        self._api_url = settings.api_url
        self._numbers = settings.numbers
        self._service = settings.messaging_service_sid
        self._largest_file = int(settings.media_megabytes * 1_000_000)
        own = urlsplit(settings.api_url)
        self._origin = f"{own.scheme}://{own.netloc}"
        port = f":{own.port}" if own.port else ""
        # What the settings name may stand in a private network; where it redirects to may not.
        self._allowed = (own.netloc, *(host + port for host in settings.media_allow))
        self._login = basic(settings.account_sid, settings.auth_token.get_secret_value())
        self._troubles: dict[str, str] = {}  # sentences for the admin, by our number; "" is the account

    @property
    def trouble(self) -> str:
        """What the admin must mend, or empty."""
        return next(iter(self._troubles.values()), "")

    async def submit(self, text: Text) -> Fate:
        """POST the text, once. Never raises for what the far end does."""
        try:
            made = await self._client.messages.create_async(**_parameters(text, self._service))
        except NotReached:
            self._troubles[""] = "Twilio's API can't be reached: check api_url and the network. Texts wait."
            return TryLater(_NOBODY_ANSWERED, scope=Scope.OUTLET)
        except Throttled as busy:
            return refusals.after_answer(429, busy.code, busy.retry_after)
        except (TwilioRestException, TwilioServiceException) as error:
            return self._after_refusal(text.sender, int(error.status), refusals.known_code(error.code))
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self._troubles[""] = _NO_SOUND_ANSWER
            return MaybeSent(_LINE_BROKE)  # ValueError: a success that is no JSON
        self._troubles.pop("", None)
        self._troubles.pop(text.sender, None)
        return Sent(made.sid) if made.sid else MaybeSent(_LINE_BROKE)

    async def candidates(self, text: Text, not_before: float) -> Candidates:
        """The newest texts between the two numbers.

        Without DateSent filters: that is null until a text has been sent.
        """
        found = await self._list(to=text.recipient, from_=text.sender, limit=_LISTED, page_size=_LISTED)
        listed = [_listed(message) for message in found]
        return Candidates(listed, reaches_back(listed, not_before, _LISTED))

    async def arrivals(self, number: str, since: float) -> list[Arrived]:
        found = await self._list(
            to=number, date_sent_after=datetime.fromtimestamp(since, UTC), limit=_POLLED, page_size=_PAGE
        )
        inbound = [message for message in found if str(message.direction) == "inbound"]
        return [
            Arrived(
                sid=message.sid,
                sender=message.from_ or "",
                recipient=message.to or number,
                body=message.body or "",
                media=tuple(await self._media_of(message)),
                at=_seconds(message.date_sent or message.date_created) or None,
            )
            for message in reversed(inbound)
        ]

    async def outcomes(self, number: str, since: float) -> list[Status]:
        found = await self._list(
            from_=number, date_sent_after=datetime.fromtimestamp(since, UTC), limit=_POLLED, page_size=_PAGE
        )
        return [
            Status(
                sid=message.sid,
                outcome=forms.OUTCOMES.get(str(message.status or "")),
                sender=number,
                code=refusals.known_code(message.error_code),
            )
            for message in reversed(found)
            if str(message.direction) != "inbound"
        ]

    async def _media_of(self, message: Any) -> list[Media]:
        if not int(message.num_media or 0):
            return []
        found = await self._asked(
            lambda: self._client.messages(message.sid).media.list_async(limit=forms.MOST_FILES)
        )
        return [
            Media(absolute(self._api_url, one.uri).removesuffix(".json"), str(one.content_type or ""))
            for one in found
        ]

    async def fetch(self, sid: str, media: Media) -> bytes:
        """Basic auth goes to the API's own host only, and is dropped where that redirects to a store."""
        url = media.url
        if not url.startswith(f"{self._origin}/"):
            raise NotFetched(tr("Its address is not the provider's."))
        try:
            fetched = await fetching.fetch(
                url,
                fetching.FetchLimits(bytes=self._largest_file, seconds=30.0),
                self._allowed,
                headers={"Authorization": self._login},
            )
        except fetching.NotFetched as error:
            raise NotFetched(error.args[0], again=error.later) from error
        return fetched.data

    async def discard(self, sid: str, media: Media) -> None:
        try:
            await self._asked(
                lambda: self._client.messages(sid).media(media.url.rpartition("/")[2]).delete_async()
            )
        except NotListed as error:
            raise NotFetched(str(error), again=True) from error

    async def set_up(self, hooks: Hooks, *, apply: bool) -> list[str]:
        """Numbers of the account whose web-hook for texts is not ours: told, and set if `apply`."""
        wanted = hooks.inbound_url()
        if not wanted:
            raise OSError("gateway.public_url is not set: the provider could not reach us. Set it first.")
        try:
            there = {number: await self._number(number) for number in self._numbers}
            if missing := [number for number, one in there.items() if one is None]:
                said = ", ".join(missing)
                raise OSError(f"The account has no number {said}: get it there, or take it out of numbers.")
            found = [await self._set_up_one(one, wanted, apply=apply) for one in there.values()]
        except NotListed as error:
            raise OSError(
                f"The SMS provider could not be asked ({error}): check account_sid, auth_token and api_url."
            ) from error
        return [line for line in found if line]

    async def _number(self, number: str) -> Any:
        """One of our numbers as the account has it, or None."""
        numbers = self._client.incoming_phone_numbers
        found = await self._asked(lambda: numbers.list_async(phone_number=number, limit=1))
        return found[0] if found else None

    async def _set_up_one(self, one: Any, wanted: str, *, apply: bool) -> str:
        if (one.sms_url, str(one.sms_method)) == (wanted, "POST"):
            return ""
        if apply:
            await self._asked(lambda: one.update_async(sms_url=wanted, sms_method="POST"))
        return f"{one.phone_number}: texts go to {one.sms_url or 'nobody'}, not to {wanted}"

    async def _list(self, **filters: Any) -> list[Any]:
        found = await self._asked(lambda: self._client.messages.list_async(**filters))
        return [message for message in found if message.sid]

    async def _asked(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """Raises NotListed for whatever the far end does."""
        try:
            return await question()
        except (NotReached, Throttled, TwilioException) as error:
            raise NotListed(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotListed(type(error).__name__) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotListed("the answer is not what was asked for") from error

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
async def connected(settings: SmsSettings) -> AsyncIterator[Twilio]:
    """A client with a session of its own, closed at the end. Connects to nobody yet."""
    timeout = aiohttp.ClientTimeout(
        total=settings.timeout_seconds, sock_connect=min(_CONNECT_SECONDS, settings.timeout_seconds)
    )
    connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=_IDLE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        client = Client(
            settings.account_sid,
            settings.auth_token.get_secret_value(),
            http_client=HttpClient(session, settings.api_url),
            environment=_NO_ENVIRONMENT,
        )
        # The first touch imports what the client is made of, 66 ms: not on the way of a first text.
        await asyncio.to_thread(getattr, client, "messages")
        yield Twilio(client, settings)


def _parameters(text: Text, service: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "to": text.recipient,
        "from_": text.sender,
        "validity_period": text.validity_seconds,
        # What is sent is what was measured: texts are made smaller by us, or not at all.
        "smart_encoded": False,
    }
    optional = {
        "body": text.body,
        "status_callback": text.status_callback,
        "media_url": list(text.media),
        "messaging_service_sid": service,
    }
    return wanted | {name: value for name, value in optional.items() if value}


def _listed(message: Any) -> Listed:
    return Listed(
        sid=message.sid,
        body=message.body or "",
        media=int(message.num_media or 0),
        created_at=_seconds(message.date_created),
        outcome=forms.OUTCOMES.get(str(message.status or "")),
        code=refusals.known_code(message.error_code),
    )


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
