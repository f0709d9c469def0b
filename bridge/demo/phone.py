"""A phone, and a stand-in for Twilio's Messages API between it and the gateway.

Takes texts as Twilio would, reports on them by signed call-backs, and posts what the phone answers to
the gateway's web-hook. Faults are scripted number by number. Loopback only; remembers in memory.
"""

import asyncio
import base64
import hmac
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web

from bridge.demo import shelves
from bridge.demo.shelves import Shelves, looked_at, page, spoiled
from bridge.demo.shelves import error as _error
from bridge.demo.texts import (
    API_VERSION,
    Exchange,
    Fault,
    Goes,
    MmsFile,
    Refuse,
    Text,
    Throttle,
    inbound_form,
    is_number,
    new_sid,
    signature,
    status_form,
)

_MOST_KEPT = 50_000  # exchanges and posts
_LONGEST_BODY = 1600
_POST_SECONDS = 15.0  # what Twilio gives a web-hook


@dataclass(frozen=True, slots=True)
class Post:
    """A web-hook that was posted to the gateway. `status` is 0 where nobody answered."""

    url: str
    form: tuple[tuple[str, str], ...]
    status: int
    answer: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """A line on a phone's screen."""

    text: str
    other: str  # the number at the far end
    mine: bool
    at: datetime
    files: tuple[MmsFile, ...] = ()


class Phone:
    """What one handset shows, and what its owner writes."""

    def __init__(self, number: str, stand_in: "TwilioStandIn") -> None:
        self.number = number
        self.screen: list[Bubble] = []
        self._stand_in = stand_in

    async def reply(self, text: str, to: str = "", media: Sequence[str | MmsFile] = ()) -> Post:
        """Write a text, by default to whoever wrote last. `media` are attached files, or types of such."""
        other = to or next((bubble.other for bubble in reversed(self.screen) if not bubble.mine), "")
        if not other:
            raise ValueError("nobody has written to this phone yet: say to whom")
        self.screen.append(Bubble(text, other, True, datetime.now(UTC)))
        return await self._stand_in.arrives(self.number, other, text, media)

    async def shows(self, count: int, seconds: float = 10.0) -> list[str]:
        """Wait until so many texts have arrived; those texts, in order. Raises TimeoutError."""
        await self._stand_in.until(lambda: len(self.received()) >= count, seconds)
        return self.received()

    def received(self) -> list[str]:
        return [bubble.text for bubble in self.screen if not bubble.mine]


class TwilioStandIn:
    """One account with its numbers, each with the web-hook that its inbound texts go to.

    `check` sees every exchange with the API, `latency` answers how long a request takes to arrive, in
    seconds; `pause` lies before each status; `tries` is how often a web-hook is posted until a 2xx. Like
    SignalWire with a `base`, a path that the API stands below, and a `signing_key` for web-hooks.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        numbers: Mapping[str, str],
        *,
        check: Callable[[Exchange], None] | None = None,
        latency: Callable[[], float] | None = None,
        pause: float = 0.0,
        tries: int = 2,
        base: str = "",
        signing_key: str = "",
    ) -> None:
        self.account_sid = account_sid
        self.numbers = dict(numbers)
        self.texts: dict[str, Text] = {}  # by SID, oldest first
        self.exchanges: deque[Exchange] = deque(maxlen=_MOST_KEPT)
        self.posts: deque[Post] = deque(maxlen=_MOST_KEPT)
        self.usual = Goes(("sending", "sent", "delivered"))
        self.api_url = ""
        self.pending = 0  # texts being handed over just now
        self.reachable = True  # whether the gateway's web-hooks are: while False, every post is lost
        self.stopped: set[tuple[str, str]] = set()  # (number, phone) pairs that Twilio itself blocks
        self._shelves = Shelves(account_sid, self.texts, self.numbers, base)
        self._token = auth_token
        self._base = base
        self._signed = ("SignalWire", signing_key) if signing_key else ("Twilio", auth_token)
        self._check = check
        self.latency = latency
        self._pause = pause
        self.tries = tries
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._lasting: dict[str, Fault] = {}
        self._phones: dict[str, Phone] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    # --- for demos and tests ---

    def phone(self, number: str) -> Phone:
        return self._phones.setdefault(number, Phone(number, self))

    def fail(self, number: str, *faults: Fault) -> None:
        """What happens to the next texts for a number, one fault each."""
        self._faults[number].extend(faults)

    def always(self, number: str, fault: Fault) -> None:
        """What happens to every text for a number."""
        self._lasting[number] = fault

    def sent_to(self, number: str) -> list[Text]:
        """Texts that were taken for a number, oldest first."""
        return [text for text in self.texts.values() if text.recipient == number and not text.inbound]

    async def until(self, reached: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds; looked at after every event. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(reached)

    @property
    def given_away(self) -> list[str]:
        """Credentials that came to where files are stored: there must be none."""
        return self._shelves.given_away

    async def arrives(
        self,
        sender: str,
        recipient: str,
        body: str,
        media: Sequence[str | MmsFile] = (),
        *,
        posted: bool = True,
        ago: float = 0.0,
    ) -> Post:
        """A text comes in for one of our numbers (so many seconds `ago`): posted to its web-hook, unless
        that fails (`posted`)."""
        at = datetime.now(UTC) - timedelta(seconds=ago)
        text = Text(new_sid(), self.account_sid, sender, recipient, body, "received", True, at)
        text.sent = text.created
        text.media = tuple(one if isinstance(one, MmsFile) else MmsFile(one, b"a file") for one in media)
        self.texts[text.sid] = text
        if body.strip().upper() == "STOP":
            self.stopped.add((recipient, sender))
        elif body.strip().upper() == "START":
            self.stopped.discard((recipient, sender))
        return await self.arrives_again(text) if posted else Post("", (), 0, "")

    async def arrives_again(self, text: Text) -> Post:
        """The same web-hook once more, as after a time-out, or as somebody captured it."""
        return await self.post(self.numbers[text.recipient], inbound_form(text, self.api_url))

    async def post(self, url: str, form: Sequence[tuple[str, str]]) -> Post:
        """Post a signed form to the gateway, again while nobody answers it with a 2xx."""
        done = Post(url, tuple(form), 0, "")
        for attempt in range(self.tries):
            await asyncio.sleep(min(0.1 * attempt, 1.0))
            done = await self._post_once(url, tuple(form))
            self.posts.append(done)
            await self._tell()
            if 200 <= done.status < 300:
                break
        return done

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on loopback; the value is the API's base URL."""
        app = web.Application(client_max_size=2**20)
        messages = f"/{API_VERSION}/Accounts/{{account}}/Messages"
        app.router.add_post(f"{messages}.json", self._create)
        app.router.add_get(f"{messages}.json", self._list)
        app.router.add_get(f"{messages}/{{sid}}.json", self._fetch)
        app.router.add_delete(f"{messages}/{{sid}}.json", self._delete)
        self._shelves.add_routes(app)
        app.middlewares.append(self._at_the_door)
        if self._base:
            within, app = app, web.Application(client_max_size=2**20)
            app.add_subapp(self._base, within)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.api_url = f"http://127.0.0.1:{runner.addresses[0][1]}{self._base}"
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_SECONDS)) as session:
                self._session = session
                yield self.api_url
                await self._stop_tasks()
        finally:
            self._session = None
            await runner.cleanup()

    # --- the API ---

    @web.middleware
    async def _at_the_door(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith(f"{self._base}/store/"):
            return await handler(request)
        form = (await request.read()).decode("utf-8")
        answer: web.StreamResponse
        if self._authorised(request):
            answer = await handler(request)
        else:
            answer = _error(20003, 401, "Authenticate")
        cut = request.transport is None or request.transport.is_closing()
        body = answer.body if isinstance(answer, web.Response) else b""
        exchange = Exchange(
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            headers=dict(request.headers),
            form=form,
            status=0 if cut else answer.status,
            content_type=answer.content_type,
            answer=body if isinstance(body, bytes) else b"",
        )
        self.exchanges.append(exchange)
        if self._check:
            self._check(exchange)
        await self._tell()
        return answer

    def _authorised(self, request: web.Request) -> bool:
        expected = base64.b64encode(f"{self.account_sid}:{self._token}".encode()).decode("ascii")
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Basic {expected}".encode())

    async def _create(self, request: web.Request) -> web.Response:
        self.pending += 1
        await self._tell()
        try:
            return await self._created(request)
        finally:
            self.pending -= 1

    async def _created(self, request: web.Request) -> web.Response:
        fields = parse_qsl((await request.read()).decode("utf-8"), keep_blank_values=True)
        form = dict(fields)
        urls = [value for name, value in fields if name == "MediaUrl"]
        if self.latency:
            await asyncio.sleep(self.latency())
        number = form.get("To", "")
        queued = self._faults.get(number)
        fault = queued.popleft() if queued else self._lasting.get(number, self.usual)
        if isinstance(fault, Refuse):
            return _error(fault.code, fault.status, fault.message)
        if isinstance(fault, Throttle):
            answer = _error(fault.code, 429, "Too Many Requests")
            answer.headers["Retry-After"] = fault.retry_after
            return answer
        if refusal := self._refusal(request.match_info["account"], form, urls):
            return refusal
        if not isinstance(fault, Goes) and not fault.taken:
            return await spoiled(request, fault)
        text = self._take(form, urls)
        answer = web.json_response(text.resource(), status=201)
        await self._go(text, fault if isinstance(fault, Goes) else self.usual)
        return answer if isinstance(fault, Goes) else await spoiled(request, fault)

    def _refusal(self, account: str, form: Mapping[str, str], urls: Sequence[str]) -> web.Response | None:
        """What Twilio itself would find wrong with a request."""
        number = form.get("To", "")
        faults = [
            (account != self.account_sid, 20404, 404, "The requested resource was not found"),
            (not number, 21604, 400, "A 'To' phone number is required."),
            (form.get("From") not in self.numbers, 21606, 400, "The 'From' number is not yours."),
            ((form.get("From"), number) in self.stopped, 21610, 400, "The recipient has unsubscribed"),
            (len(urls) > 10, 21623, 400, "Number of media files exceeds allowed limit"),
            (not form.get("Body") and not urls, 21602, 400, "Message body is required."),
            (len(form.get("Body", "")) > _LONGEST_BODY, 21617, 400, "The message body is too long."),
            (not is_number(number), 21211, 400, "Invalid 'To' Phone Number"),
        ]
        return next((_error(code, status, text) for wrong, code, status, text in faults if wrong), None)

    def _take(self, form: Mapping[str, str], urls: Sequence[str]) -> Text:
        text = Text(
            sid=new_sid(),
            account=self.account_sid,
            sender=form["From"],
            recipient=form["To"],
            body=form.get("Body", ""),
            status="accepted" if form.get("MessagingServiceSid") else "queued",
            inbound=False,
            created=datetime.now(UTC),
            status_callback=form.get("StatusCallback", ""),
            media=tuple(MmsFile("", redirect=url) for url in urls),
            service=form.get("MessagingServiceSid", ""),
        )
        self.texts[text.sid] = text
        return text

    async def _list(self, request: web.Request) -> web.Response:
        found = [
            text.resource()
            for text in reversed(self.texts.values())
            if request.query.get("To", text.recipient) == text.recipient
            and request.query.get("From", text.sender) == text.sender
            and shelves.since(text, request)
        ]
        return page(request, "messages", found)

    async def _fetch(self, request: web.Request) -> web.Response:
        text = self.texts.get(request.match_info["sid"])
        return web.json_response(text.resource()) if text else _error(20404, 404, "Not found")

    async def _delete(self, request: web.Request) -> web.Response:
        if self.texts.pop(request.match_info["sid"], None) is None:
            return _error(20404, 404, "Not found")
        return web.Response(status=204)

    # --- what becomes of a text ---

    async def _go(self, text: Text, way: Goes) -> None:
        await self._tell()
        if way.early:
            await self._travel(text, way)
            return
        task = asyncio.create_task(self._travel(text, way))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _travel(self, text: Text, way: Goes) -> None:
        if text.media and self._session is not None:
            text.media, fault = await looked_at(self._session, [one.redirect for one in text.media])
            if fault:
                way = Goes(("failed",), fault)
        for status in way.statuses:
            await asyncio.sleep(self._pause)
            failed = status in ("failed", "undelivered")
            if text.advance(status, way.error_code if failed else None) and status == "delivered":
                self._show(text)
            await self._tell()
            if text.status_callback:
                code = way.error_code if failed else None
                await self.post(text.status_callback, status_form(text, status, code))

    def _show(self, text: Text) -> None:
        bubble = Bubble(text.body, text.sender, False, datetime.now(UTC), text.media)
        self.phone(text.recipient).screen.append(bubble)

    async def _post_once(self, url: str, form: tuple[tuple[str, str], ...]) -> Post:
        if self._session is None:
            raise RuntimeError("the stand-in is not running")
        if not self.reachable:
            return Post(url, form, 0, "")
        headers = {
            f"X-{self._signed[0]}-Signature": signature(self._signed[1], url, form),
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        try:
            async with self._session.post(
                url, data=urlencode(form).encode("ascii"), headers=headers
            ) as answer:
                return Post(url, form, answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Post(url, form, 0, "")

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
