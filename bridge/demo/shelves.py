"""What else the stand-in for Twilio has on its shelves: the account's numbers, and files of texts.

The account's numbers can be listed and told their web-hook; files can be listed, fetched and deleted, and
those that are sent out are looked at as Twilio would: HEAD, GET, and whether the type is what it says.
"""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from bridge.demo.texts import API_VERSION, BadGateway, Drop, Hang, MmsFile, Text, error_answer, rfc2822

_ACCOUNT = f"/{API_VERSION}/Accounts/{{account}}"
_LARGEST_OUT = 5_000_000
_CONTENT = re.compile(rf"/{API_VERSION}/Accounts/[^/]+/Messages/[^/]+/Media/ME[0-9a-f]{{32}}")


def is_content(path: str) -> bool:
    """Whether a path is that of a file itself, which Twilio's API file does not describe."""
    return bool(_CONTENT.fullmatch(path))


def error(code: int, status: int, message: str) -> web.Response:
    return web.json_response(error_answer(code, status, message), status=status)


def page(request: web.Request, name: str, found: Sequence[Mapping[str, object]]) -> web.Response:
    """One page of a list, as Twilio's lists have them."""
    size = min(int(request.query.get("PageSize", "50")), 1000)
    number = int(request.query.get("Page", "0"))
    here = request.rel_url
    return web.json_response(
        {
            name: list(found[number * size : (number + 1) * size]),
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(len(found[number * size : (number + 1) * size]) - 1, 0),
            "uri": str(here),
            "first_page_uri": str(here.update_query(Page="0")),
            "previous_page_uri": str(here.update_query(Page=str(number - 1))) if number else None,
            "next_page_uri": (
                str(here.update_query(Page=str(number + 1))) if len(found) > (number + 1) * size else None
            ),
        }
    )


@dataclass(slots=True)
class Shelves:
    """`texts` and `numbers` are the stand-in's own; `hooks` says where each number's texts go."""

    account: str
    texts: Mapping[str, Text]
    hooks: dict[str, str]
    base: str = ""  # the path that the API stands below
    sids: dict[str, str] = field(default_factory=dict)  # of numbers
    store: dict[str, MmsFile] = field(default_factory=dict)  # by token: where a file's URL redirects to
    given_away: list[str] = field(default_factory=list)  # credentials that came to the store: never

    def add_routes(self, app: web.Application) -> None:
        routes = app.router
        routes.add_get(f"{_ACCOUNT}/IncomingPhoneNumbers.json", self._list_numbers)
        routes.add_post(f"{_ACCOUNT}/IncomingPhoneNumbers/{{sid}}.json", self._update_number)
        routes.add_get(f"{_ACCOUNT}/Messages/{{message}}/Media.json", self._list_media)
        routes.add_delete(f"{_ACCOUNT}/Messages/{{message}}/Media/{{sid}}.json", self._delete_media)
        routes.add_get(f"{_ACCOUNT}/Messages/{{message}}/Media/{{sid}}", self._content)
        routes.add_get("/store/{token}", self.stored)

    # --- numbers ---

    async def _list_numbers(self, request: web.Request) -> web.Response:
        wanted = request.query.get("PhoneNumber", "")
        found = [self._number(number) for number in self.hooks if wanted in number]
        return page(request, "incoming_phone_numbers", found)

    async def _update_number(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        for number in self.hooks:
            if self._sid(number) == request.match_info["sid"]:
                self.hooks[number] = form.get("SmsUrl", self.hooks[number])
                return web.json_response(self._number(number))
        return error(20404, 404, "The requested resource was not found")

    def _sid(self, number: str) -> str:
        return self.sids.setdefault(number, f"PN{uuid.uuid4().hex}")

    def _number(self, number: str) -> dict[str, object]:
        sid = self._sid(number)
        return {
            "account_sid": self.account,
            "api_version": API_VERSION,
            "capabilities": {"voice": False, "sms": True, "mms": True, "fax": False},
            "friendly_name": number,
            "phone_number": number,
            "sid": sid,
            "sms_method": "POST",
            "sms_url": self.hooks[number],
            "status": "in-use",
            "uri": f"/{API_VERSION}/Accounts/{self.account}/IncomingPhoneNumbers/{sid}.json",
        }

    # --- files that came with texts ---

    def _media(self, request: web.Request) -> MmsFile | None:
        text = self.texts.get(request.match_info["message"])
        found = [one for one in text.media if one.sid == request.match_info["sid"]] if text else []
        return found[0] if found else None

    async def _list_media(self, request: web.Request) -> web.Response:
        text = self.texts.get(request.match_info["message"])
        if text is None:
            return error(20404, 404, "The requested resource was not found")
        base = f"{self.base}/{API_VERSION}/Accounts/{self.account}/Messages/{text.sid}/Media"
        return page(
            request,
            "media_list",
            [
                {
                    "account_sid": self.account,
                    "content_type": one.media_type,
                    "date_created": rfc2822(text.created),
                    "date_updated": rfc2822(text.created),
                    "parent_sid": text.sid,
                    "sid": one.sid,
                    "uri": f"{base}/{one.sid}.json",
                }
                for one in text.media
            ],
        )

    async def _delete_media(self, request: web.Request) -> web.Response:
        text = self.texts.get(request.match_info["message"])
        gone = self._media(request)
        if text is None or gone is None:
            return error(20404, 404, "The requested resource was not found")
        text.media = tuple(one for one in text.media if one is not gone)
        return web.Response(status=204)

    async def _content(self, request: web.Request) -> web.Response:
        """Redirects to a store elsewhere, for a short time."""
        found = self._media(request)
        if found is None:
            return error(20404, 404, "The requested resource was not found")
        token = uuid.uuid4().hex
        self.store[token] = found
        there = found.redirect or f"http://localhost:{request.url.port}{self.base}/store/{token}"
        return web.Response(status=307, headers={"Location": there})

    async def stored(self, request: web.Request) -> web.StreamResponse:
        """What the store answers; it must never see the account's credentials."""
        if "Authorization" in request.headers:
            self.given_away.append(request.headers["Authorization"])
            return web.Response(status=400)
        found = self.store.get(request.match_info["token"])
        if found is None:
            return web.Response(status=404)
        if found.streams:
            return await _endless(request, found)
        return web.Response(body=found.data, content_type=found.media_type)


async def _endless(request: web.Request, file: MmsFile) -> web.StreamResponse:
    """A body that goes on until the reader has had enough, and says nothing of its length."""
    response = web.StreamResponse(headers={"Content-Type": file.media_type})
    await response.prepare(request)
    try:
        for _ in range(10_000):
            await response.write(b"\xff" * 65536)
    except (ConnectionError, OSError):
        pass
    return response


async def looked_at(session: aiohttp.ClientSession, urls: Sequence[str]) -> tuple[tuple[MmsFile, ...], int]:
    """Files of an outgoing text as Twilio has them fetched: HEAD first, then GET. The second value is
    the error that the text fails with, or 0."""
    found = []
    for url in urls:
        try:
            async with session.head(url) as head, session.get(url) as answer:
                data = await answer.content.read(_LARGEST_OUT + 1)
                types = {head.headers.get("Content-Type", ""), answer.headers.get("Content-Type", "")}
                if head.status != 200 or answer.status != 200:
                    return (), 11200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return (), 11200
        if len(types) != 1 or "/" not in (kind := types.pop()):
            return (), 12300
        if len(data) > _LARGEST_OUT:
            return (), 11751
        found.append(MmsFile(kind, data))
    return tuple(found), 0


def since(text: Text, request: web.Request) -> bool:
    """Whether a text was sent within the time that a list asks for; one not sent yet is in no such list."""
    after = request.query.get("DateSent>")
    if after is None:
        return True
    if text.sent is None:
        return False
    moment = datetime.fromisoformat(after.replace("Z", "+00:00"))
    return text.sent >= (moment if moment.tzinfo else moment.replace(tzinfo=UTC))


async def spoiled(request: web.Request, fault: BadGateway | Drop | Hang) -> web.Response:
    """The answer that does not come as it should."""
    if isinstance(fault, BadGateway):
        page = "<html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>"
        return web.Response(status=fault.status, text=page, content_type="text/html")
    if isinstance(fault, Hang):
        await _hang(request, fault.seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _hang(request: web.Request, seconds: float) -> None:
    """Let so much time pass, or less if the caller gives up."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(0.02)
