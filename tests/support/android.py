"""A stand-in for the app "SMS Gateway for Android" in local mode, from its published API description.

Takes texts by POST /messages, tells their state by GET /messages/{id}, keeps web-hooks, and posts signed
events, each time with a new event id. Faults are scripted as with the stand-in for Twilio. Each exchange
and each event is held against that description (android_contract).
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from bridge.demo.texts import BadGateway, Drop, Fault, Goes, Hang, Refuse, Text, Throttle
from tests.support import android_contract

_EVENTS = {"sms:received", "sms:sent", "sms:delivered", "sms:failed", "sms:data-received", "mms:received",
           "system:ping"}  # fmt: skip
_NEWER_EVENTS = {"mms:downloaded", "sms:cancelled", "app:started"}
_DEVICE = "ffffffffceb0b1db0000018e937c815b"
_STATES = {"sent": "Sent", "delivered": "Delivered", "undelivered": "Failed", "failed": "Failed"}


class AndroidStandIn:
    """One phone. `usual` and faults are those of bridge.demo.texts. An `old` app knows fewer events."""

    def __init__(
        self, number: str, username: str, password: str, signing_key: str, *, old: bool = False
    ) -> None:
        self.number = number
        self.old = old
        self.contract = android_contract.Report()
        self.asked: list[dict[str, Any]] = []  # what was posted to /messages
        self.texts: dict[str, Text] = {}
        self.exchanges: list[tuple[str, str, int]] = []
        self.hooks: dict[str, dict[str, str]] = {}
        self.posts: list[tuple[int, dict[str, Any]]] = []
        self.usual = Goes(("sent", "delivered"))
        self._login = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._key = signing_key.encode()
        self._scripts: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._lasting: dict[str, Fault] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def fail(self, number: str, *faults: Fault) -> None:
        self._scripts[number].extend(faults)

    def always(self, number: str, fault: Fault) -> None:
        self._lasting[number] = fault

    def sent_to(self, number: str) -> list[Text]:
        return [text for text in self.texts.values() if text.recipient == number]

    async def until(self, reached: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(reached)

    @property
    def faults(self) -> list[str]:
        """What the app would not have understood, or said."""
        return self.contract.faults

    async def arrives(
        self, sender: str, body: str, *, sim: int = 1, recipient: str | None = None
    ) -> dict[str, Any]:
        """A text comes in; the event's payload, to be posted again."""
        payload = {
            "messageId": hashlib.sha256(body.encode()).hexdigest()[:8],  # from the content: not unique
            "message": body,
            "phoneNumber": sender,
            "sender": sender,
            "recipient": recipient,
            "simNumber": sim,
            "receivedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        await self.emit("sms:received", payload)
        return payload

    async def picture_arrives(
        self, sender: str, body: str, *parts: dict[str, Any], subject: str | None = None
    ) -> dict[str, Any]:
        """A picture message: announced first, then (but by an old app) posted whole; the last payload."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        common = {"phoneNumber": sender, "sender": sender, "recipient": None, "simNumber": 1}
        announced = {**common, "messageId": "T1", "transactionId": "T1", "subject": subject, "size": 1000,
                     "contentClass": None, "receivedAt": now}  # fmt: skip
        await self.emit("mms:received", announced)
        if self.old:
            return announced
        files = [{"partId": number, **part} for number, part in enumerate(parts)]
        whole = {**common, "messageId": "17", "body": body or None, "subject": subject, "attachments": files,
                 "receivedAt": now}  # fmt: skip
        await self.emit("mms:downloaded", whole)
        return whole

    async def emit(self, event: str, payload: dict[str, Any]) -> int:
        """Post an event to whoever registered for it; the last answer's status."""
        status = 0
        for hook in list(self.hooks.values()):
            if hook["event"] != event:
                continue
            body = {
                "deviceId": _DEVICE,
                "event": event,
                "id": uuid.uuid4().hex[:21],
                "payload": payload,
                "webhookId": hook["id"],
            }
            self.contract.check_event(body)
            status = await self.post(hook["url"], json.dumps(body).encode())
            self.posts.append((status, body))
            await self._tell()
        return status

    async def post(self, url: str, body: bytes, *, key: bytes | None = None, at: float | None = None) -> int:
        """One signed request, as the app makes it."""
        if self._session is None:
            raise RuntimeError("the stand-in is not running")
        stamp = str(int(time.time() if at is None else at))
        signed = hmac.digest(key or self._key, body + stamp.encode(), hashlib.sha256).hex()
        headers = {"X-Signature": signed, "X-Timestamp": stamp, "Content-Type": "application/json"}
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application(middlewares=[self._at_the_door])
        app.router.add_post("/messages", self._create)
        app.router.add_get("/messages/{id}", self._state)
        app.router.add_get("/webhooks", self._list_hooks)
        app.router.add_post("/webhooks", self._add_hook)
        app.router.add_delete("/webhooks/{id}", self._drop_hook)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with aiohttp.ClientSession() as self._session:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self._session = None
            await runner.cleanup()

    # --- the API ---

    @web.middleware
    async def _at_the_door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        body = await request.read()
        answer = await handler(request) if given == self._login else _error(401, "Unauthorized")
        self.exchanges.append((request.method, request.path, answer.status))
        cut = request.transport is None or request.transport.is_closing()
        said = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
        self.contract.check(
            request.method, request.path, request.headers, body, 0 if cut else answer.status, said
        )
        await self._tell()
        return answer

    async def _create(self, request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        self.asked.append(wanted)
        if not wanted.get("phoneNumbers") or not wanted.get("textMessage", {}).get("text"):
            return _error(400, "Must specify exactly one of: textMessage, dataMessage")
        if len(wanted.get("id", "")) > 36:
            return _error(400, "id: too long")
        number = wanted["phoneNumbers"][0]
        fault = (
            self._scripts[number].popleft()
            if self._scripts[number]
            else self._lasting.get(number, self.usual)
        )
        match fault:
            case Refuse():
                return _error(fault.status, fault.message)
            case Throttle():
                return _error(503, "Queue limits exceeded")
        if wanted["id"] in self.texts:
            return _error(409, "Message with such ID already exists")
        if isinstance(fault, Goes) or fault.taken:
            text = Text(wanted["id"], "", self.number, number, wanted["textMessage"]["text"], "queued", False,
                        datetime.now(UTC))  # fmt: skip
            self.texts[text.sid] = text
            await self._go(text, fault if isinstance(fault, Goes) else self.usual)
        return await self._answered(request, wanted["id"], fault)

    async def _answered(self, request: web.Request, reference: str, fault: Fault) -> web.StreamResponse:
        if isinstance(fault, BadGateway):
            return web.Response(
                status=fault.status, text="<html>Bad Gateway</html>", content_type="text/html"
            )
        if isinstance(fault, Hang):
            await asyncio.sleep(fault.seconds)
        if isinstance(fault, Drop | Hang) and request.transport is not None:
            request.transport.abort()
        return web.json_response(self._resource(reference), status=202)

    def _resource(self, reference: str) -> dict[str, Any]:
        text = self.texts.get(reference)
        state = _STATES.get(text.status, "Pending") if text else "Pending"
        return {
            "id": reference,
            "deviceId": _DEVICE,
            "state": state,
            "isHashed": False,
            "isEncrypted": False,
            "recipients": [{"phoneNumber": text.recipient if text else "?", "state": state, "error": None}],
            "states": {state: datetime.now(UTC).isoformat()},
            "createdAt": datetime.now(UTC).isoformat(),
        }

    async def _state(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["id"] not in self.texts:
            return web.Response(status=404)
        return web.json_response(self._resource(request.match_info["id"]))

    async def _list_hooks(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(list(self.hooks.values()))

    async def _add_hook(self, request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        if wanted.get("event") not in (_EVENTS if self.old else _EVENTS | _NEWER_EVENTS):
            return _error(400, "Unsupported event")
        hook = {"id": wanted.get("id") or uuid.uuid4().hex, "url": wanted["url"], "event": wanted["event"]}
        self.hooks[hook["id"]] = hook
        return web.json_response(hook, status=201)

    async def _drop_hook(self, request: web.Request) -> web.StreamResponse:
        self.hooks.pop(request.match_info["id"], None)
        return web.Response(status=204)

    # --- what becomes of a text ---

    async def _go(self, text: Text, way: Goes) -> None:
        if way.early:
            await self._travel(text, way)
            return
        task = asyncio.create_task(self._travel(text, way))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _travel(self, text: Text, way: Goes) -> None:
        await asyncio.sleep(0)
        for status in way.statuses:
            text.advance(status, way.error_code)
            word = {"sent": "sent", "delivered": "delivered"}.get(status, "failed")
            if status == "sending":
                continue
            payload = {"messageId": text.sid, "phoneNumber": text.recipient, "simNumber": 1,
                       f"{word}At": datetime.now(UTC).isoformat()}  # fmt: skip
            if word == "failed":
                payload["reason"] = f"RESULT_ERROR_GENERIC_FAILURE {way.error_code or ''}".strip()
            await self.emit(f"sms:{word}", payload)
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
