"""Somebody with an XMPP client: logs in, writes, and remembers every stanza that comes. Built on slixmpp.

For the demo and the walks. Sees only what a client sees; knows nothing of the gateway.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Literal, Self
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Message, Presence

RECEIPTS = "urn:xmpp:receipts"  # XEP-0184
REGISTER = "jabber:iq:register"  # XEP-0077

Stanza = Message | Presence


class NotSeenError(AssertionError):
    """What was waited for did not come in time. The message has what came instead."""


class RequestError(RuntimeError):
    """An IQ was answered by an error, or not at all. `text` is what the user would read."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}" if text else condition)
        self.condition = condition
        self.text = text


class ChatUser:
    """One account on a server on loopback; an async context manager that is logged in inside.

    `heard` has every message and presence since the first login, oldest first. `expect` and what is
    built on it take each of them once.
    """

    def __init__(
        self,
        jid: str,
        password: str,
        port: int,
        *,
        resource: str = "client",
        sends_receipts: bool = True,
        patience: float = 10.0,
    ) -> None:
        self.bare = jid
        self.jid = f"{jid}/{resource}"
        self.heard: list[Stanza] = []
        self.sends_receipts = sends_receipts
        self.patience = patience
        self.offline = asyncio.Event()  # set while there is no connection
        self.offline.set()
        self._password = password
        self._port = port
        self._unread: list[Stanza] = []
        self._waiters: list[tuple[Callable[[Stanza], bool], asyncio.Future[Stanza]]] = []
        self._client: ClientXMPP | None = None

    # --- session ---

    async def __aenter__(self) -> Self:
        await self.login()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.logout()

    async def login(self, *, available: bool = True) -> None:
        """Connect, authenticate, bind; with `available` also send presence. Again after a lost stream."""
        await self.logout()
        client = self._client = _client(self.jid, self._password)
        client.add_filter("in", self._hear)
        client.add_event_handler("disconnected", lambda _: self.offline.set())
        connecting = asyncio.get_running_loop().create_task(
            client.wait_until("session_start", timeout=self.patience)
        )
        client.connect("127.0.0.1", self._port)
        try:
            await connecting
        except TimeoutError:
            raise NotSeenError(f"{self.bare} could not log in on port {self._port}") from None
        self.offline.clear()
        client.get_roster()
        if available:
            self.presence()

    async def logout(self) -> None:
        """Close the stream as a client does that says good-bye."""
        client, self._client = self._client, None
        if client is None:
            return
        client.cancel_connection_attempt()
        await client.disconnect(wait=2.0)
        await _end_sender(client)
        self.offline.set()

    async def drop(self) -> None:
        """Lose the connection without a word, as a phone does in a tunnel."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.transport is not None:
            client.transport.abort()
            await self.offline.wait()
        await _end_sender(client)

    @property
    def client(self) -> ClientXMPP:
        """The slixmpp client of the present session, for whatever this class does not offer."""
        if self._client is None:
            raise RequestError("not-connected", f"{self.bare} is not logged in")
        return self._client

    # --- writing ---

    def say(self, to: str, body: str, *, stanza_id: str = "", receipt: bool = True, extra: str = "") -> str:
        """Send a chat message and answer its id. `extra` is XML put beside the body."""
        stanza_id = stanza_id or uuid.uuid4().hex
        asks = f"<request xmlns='{RECEIPTS}'/>" if receipt else ""
        self.send_xml(
            f"<message to={quoteattr(to)} type='chat' id={quoteattr(stanza_id)}>"
            f"<body>{escape(body)}</body>{asks}{extra}</message>"
        )
        return stanza_id

    def send_xml(self, text: str) -> None:
        """Send a stanza as it is written here."""
        self.client.send_raw(text)

    def presence(self, *, to: str = "", kind: str = "") -> None:
        """Send presence: available, or of a kind such as subscribe; to everybody, or to one JID."""
        attributes = "".join(f" {name}={quoteattr(v)}" for name, v in (("to", to), ("type", kind)) if v)
        self.send_xml(f"<presence{attributes}/>")

    async def ask(
        self, to: str, kind: Literal["get", "set"], payload: str, *, within: float | None = None
    ) -> ElementTree.Element:
        """Send an IQ and answer the result's XML. Raises RequestError."""
        iq: Any = self.client.make_iq(ito=to, itype=kind)
        iq.append(ElementTree.fromstring(payload))
        try:
            answer = await iq.send(timeout=within or self.patience)
        except IqError as error:
            raise RequestError(error.condition, error.text) from None
        except IqTimeout:
            raise RequestError("timeout", f"{to} did not answer") from None
        result: ElementTree.Element = answer.xml
        return result

    # --- registration and contacts ---

    async def registration_form(self, gateway: str) -> dict[str, str]:
        """The fields of the gateway's registration form, with their values (XEP-0077)."""
        answer = await self.ask(gateway, "get", f"<query xmlns='{REGISTER}'/>")
        query = answer.find(f"{{{REGISTER}}}query")
        return {_local_name(field): field.text or "" for field in (query if query is not None else ())}

    async def register(self, gateway: str, **fields: str) -> None:
        """Register, or edit the registration, and subscribe to the gateway as clients do."""
        filled = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        await self.ask(gateway, "set", f"<query xmlns='{REGISTER}'>{filled}</query>")
        self.presence(to=gateway, kind="subscribe")

    async def unregister(self, gateway: str) -> None:
        await self.ask(gateway, "set", f"<query xmlns='{REGISTER}'><remove/></query>")

    async def add_contact(self, jid: str) -> Presence:
        """Subscribe to a JID; answers its first available presence."""
        self.presence(to=jid, kind="subscribe")
        return await self.presence_from(jid)

    # --- reading ---

    async def expect(
        self, wanted: Callable[[Stanza], bool], what: str, *, within: float | None = None
    ) -> Stanza:
        """The first stanza not yet taken for which `wanted` holds, come or to come. Raises NotSeenError."""
        for index, stanza in enumerate(self._unread):
            if wanted(stanza):
                return self._unread.pop(index)
        waiter = (wanted, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await asyncio.wait_for(waiter[1], within or self.patience)
        except TimeoutError:
            came = "\n".join(str(stanza) for stanza in self._unread[-10:]) or "nothing"
            raise NotSeenError(f"{self.bare} waited for {what}; unread:\n{came}") from None
        finally:
            self._waiters.remove(waiter)

    async def message_from(self, jid: str, *, containing: str = "", within: float | None = None) -> Message:
        """The next chat message with a body from a bare JID."""
        return await self._expect_message(
            lambda stanza: is_chat(stanza, jid) and containing in body_of(stanza),
            f"a message from {jid} with {containing!r}",
            within,
        )

    async def receipt_for(self, stanza_id: str, *, within: float | None = None) -> Message:
        """The receipt (XEP-0184) for a message of ours."""
        return await self._expect_message(
            lambda stanza: received_id(stanza) == stanza_id, f"a receipt for {stanza_id}", within
        )

    async def error_for(self, stanza_id: str, *, within: float | None = None) -> Message:
        """The error stanza that answers a message of ours."""
        return await self._expect_message(
            lambda stanza: stanza["type"] == "error" and stanza["id"] == stanza_id,
            f"an error for {stanza_id}",
            within,
        )

    async def presence_from(
        self, jid: str, kind: str = "available", *, within: float | None = None
    ) -> Presence:
        """The next presence of a kind ("available", "unavailable", "subscribed", …) from a bare JID."""

        def wanted(stanza: Stanza) -> bool:
            return (
                isinstance(stanza, Presence)
                and stanza["from"].bare == jid
                and (stanza.xml.get("type") or "available") == kind
            )

        stanza = await self.expect(wanted, f"presence {kind} from {jid}", within=within)
        assert isinstance(stanza, Presence)
        return stanza

    def bodies_from(self, jid: str) -> list[str]:
        """The bodies of all chat messages from a bare JID so far, in order."""
        return [body_of(stanza) for stanza in self.heard if is_chat(stanza, jid)]

    # --- parts ---

    async def _expect_message(
        self, wanted: Callable[[Message], bool], what: str, within: float | None
    ) -> Message:
        stanza = await self.expect(
            lambda stanza: isinstance(stanza, Message) and wanted(stanza), what, within=within
        )
        assert isinstance(stanza, Message)
        return stanza

    def _hear(self, stanza: Any) -> Any:
        """slixmpp's filter for what comes in; runs before its own handlers."""
        if isinstance(stanza, Message | Presence):
            self.heard.append(stanza)
            self._acknowledge(stanza)
            for wanted, waiter in self._waiters:
                if not waiter.done() and wanted(stanza):
                    waiter.set_result(stanza)
                    break
            else:
                self._unread.append(stanza)
        return stanza

    def _acknowledge(self, stanza: Stanza) -> None:
        """Answer a request for a receipt, as a client does (XEP-0184 section 5)."""
        asked = stanza.xml.find(f"{{{RECEIPTS}}}request") is not None
        wanted = asked and self.sends_receipts and stanza["id"] and stanza["type"] != "error"
        if not wanted or self._client is None:  # what comes during a logout is read and no more
            return
        to, stanza_id = quoteattr(str(stanza["from"])), quoteattr(stanza["id"])
        self.send_xml(f"<message to={to} type='chat'><received xmlns='{RECEIPTS}' id={stanza_id}/></message>")


def body_of(stanza: Stanza) -> str:
    return stanza.xml.findtext("{jabber:client}body") or ""


def is_chat(stanza: Stanza, jid: str) -> bool:
    """Whether it is a message with a body, no error, from a bare JID."""
    return (
        isinstance(stanza, Message)
        and stanza["type"] != "error"
        and stanza["from"].bare == jid
        and bool(body_of(stanza))
    )


def received_id(stanza: Stanza) -> str:
    """The id that a receipt is for, or nothing if it is none."""
    received = stanza.xml.find(f"{{{RECEIPTS}}}received")
    return "" if received is None else received.get("id", "")


def error_text(stanza: Stanza) -> str:
    """The sentence of an error stanza."""
    return str(stanza["error"]["text"])


def _client(jid: str, password: str) -> ClientXMPP:
    client = ClientXMPP(jid, password)
    client.enable_direct_tls = False
    client.enable_starttls = False
    client.enable_plaintext = True  # a private server on loopback
    mechanisms = client.plugin["feature_mechanisms"]
    mechanisms.unencrypted_plain = True
    mechanisms.unencrypted_scram = True
    client.register_plugin("xep_0030")
    client.register_plugin("xep_0199")
    client.roster.auto_authorize = True  # the person says yes to contacts that ask
    client.roster.auto_subscribe = False
    return client


async def _end_sender(client: ClientXMPP) -> None:
    """slixmpp leaves the task that sends for it running after a disconnect."""
    sender = client._run_out_filters
    if sender is not None:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


def _local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
