"""What the gateway says and hears in chat: text to its own JID, slash commands in a contact's chat.

Puts the dialogue's answers into stanzas and does what follows from them (presence, welcome). A slash
command waits for the lines before it to be recorded, and the lines after it wait for the command.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import dropwhile

from bridge.commands.asking import are_you_sure, is_sure
from bridge.commands.dialogue import Answer, Dialogue, asks_to_come
from bridge.commands.model import Command, Context, Reply, Values, Where
from bridge.commands.running import Asking
from bridge.commands.services import Services
from bridge.events import Asked, Denied, Transport, Written
from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.model import Attachment, Line
from bridge.options import POSTS, SUBJECT
from bridge.xmpp import stanzas, words, xml
from bridge.xmpp.outlet import Places
from bridge.xmpp.pipeline import Pipeline
from bridge.xmpp.presence import Post, Presence
from bridge.xmpp.rosters import Rosters

Work = Callable[[], Awaitable[None]]

CARRIED_FOR = 600.0  # seconds that /subject and /cc wait for the next line
_MOST_CARRIED = 1_000
_MOST_CARRIED_BY_ONE = 20  # chats in which one user has begun a line and not written it


class Bot:
    """One transport's. Without `services` it only explains itself."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        services: Services | None,
        post: Post,
        presence: Presence,
        rosters: Rosters,
        pipeline: Pipeline,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._services = services
        self._post = post
        self._presence = presence
        self._rosters = rosters
        self._pipeline = pipeline
        self._clock = clock
        self._dialogue = Dialogue(clock)
        self.places: Places | None = None  # where files that belong to answers are put
        if services is not None:
            services.office.departed[transport.name] = self.departed
            if services.estate is not None:
                services.estate.moved[transport.name] = self.moved
        self._busy: Counter[str] = Counter()  # bare JIDs whose commands are at work
        self._carried: dict[tuple[str, str], tuple[dict[str, str], float]] = {}

    # --- lines to contacts: which of them are not just messages ---

    def concerns(self, written: Written) -> bool:
        """Whether a line to a contact is a command, or must wait for one."""
        if self._services is None or written.files:
            return False
        return bool(self._busy or self._carried or _command_in(written))

    def take(self, written: Written) -> Work | None:
        """The work that such a line asks for; None when it has become a message after all."""
        text = _command_in(written)
        if text and not text.startswith("//"):
            self._busy[written.from_bare] += 1
            return partial(self._in_chat, written, text)
        if text:
            written = replace(written, body=written.body.replace("//", "/", 1))
        if self._busy[written.from_bare]:
            return partial(self._put, written)
        self._put_now(written)
        return None

    async def _put(self, written: Written) -> None:
        self._put_now(written)

    def _put_now(self, written: Written) -> None:
        carried, until = self._carried.pop((written.from_bare, written.local), ({}, 0.0))
        if carried and until > self._clock():
            subject = carried.get(SUBJECT, written.subject)
            written = replace(written, options={**written.options, **carried}, subject=subject)
        self._pipeline.put(written)

    async def _in_chat(self, written: Written, text: str) -> None:
        """A slash command; never sent out."""
        try:
            await self._pipeline.reached()
            context = await self._context(written)
            try:
                address = self._gateway.address_of(self._transport.name, written.local).canonical
            except Denied as denied:
                self._say(written, Answer(translate(denied.text, context.language)))
                return
            answer = await self._dialogue.in_chat(replace(context, address=address), text)
            self._say(written, answer)
            await self._follow(written, answer.reply)
        finally:
            self._busy[written.from_bare] -= 1
            if self._busy[written.from_bare] <= 0:
                del self._busy[written.from_bare]

    def ask_first(self, written: Written, asked: Asked) -> Work:
        """A line that reaches many people was not recorded: ask whether it shall go."""
        return partial(self._ask_first, written, asked)

    async def _ask_first(self, written: Written, asked: Asked) -> None:
        context = await self._context(written)
        command = Command(
            ("post",),
            tr("Send a line that reaches many people."),
            partial(_post, replace(written, options={**written.options, POSTS: "1"})),
            where=Where.CHAT,
        )
        step = are_you_sure(tr("This reaches many people"), asked.text)
        self._dialogue.ask_in_chat(context, command, Asking(step, {}, step.fields[0]))
        self._say(replace(written, wants_receipt=False), Answer(translate(asked.text, context.language)))

    # --- lines to the gateway ---

    async def at_gateway(self, written: Written) -> None:
        """Text to the gateway's own JID never leaves it."""
        if not xml.node(written.from_full):
            return  # two gateways would explain themselves to each other for ever
        context = await self._context(replace(written, local=""))  # it may have been written to its alias
        welcomed = False
        if context.line is None and not (self._services and asks_to_come(context, written.body)):
            line = await self._gateway.admit(self._transport.name, context.jid, context.language)
            context = replace(context, line=line)
            welcomed = line is not None
        if self._services is None:
            address = context.line.address if context.line is not None else ""
            text = words.how_it_works(self._transport, address, context.language)
            self._say(written, Answer(text))
            return
        answer = await self._dialogue.at_gateway(context, _said(written))
        # Who has just been welcomed for a mere "hello" need not read that it was not understood.
        self._say(written, replace(answer, text="") if welcomed and answer.puzzled else answer)
        await self._follow(written, answer.reply)

    async def _context(self, written: Written) -> Context:
        jid = written.from_bare
        return await self.context(
            jid, written.from_full, written.local, self._gateway.languages.of(jid, written.language), written
        )

    async def context(
        self, jid: str, full: str, local: str, language: str, written: Written | None = None
    ) -> Context:
        """Who asks, where. `written` is the line that was typed, if it was one."""
        return Context(
            services=self._services,  # type: ignore[arg-type]  # asked for only where there are some
            transport=self._transport.name,
            jid=jid,
            full=full,
            language=language,
            line=await self._gateway.line_of(self._transport.name, jid),
            local=local,
            stanza_id=written.stanza_id if written else self._gateway.new_name(),
            reply_to=written.reply_to if written else "",
            wants_receipt=written.wants_receipt if written else False,
        )

    # --- answering ---

    def _say(self, written: Written, answer: Answer) -> None:
        sender = f"{written.local}@{self._transport.jid}" if written.local else self._transport.jid
        texts = []
        if written.wants_receipt and not (answer.reply is not None and answer.reply.sent):
            texts.append(
                stanzas.received(sender, written.from_full, self._gateway.new_name(), written.stanza_id)
            )
        if answer.text:
            texts.append(stanzas.prompt(sender, written.from_full, self._gateway.new_name(), answer.text))
        self._post.reply(*texts)

    async def _follow(self, written: Written, reply: Reply | None) -> None:
        if reply is None:
            return
        if reply.carries:
            key = (written.from_bare, written.local)
            before = self._carried.pop(key, ({}, 0.0))[0]
            self._make_room(written.from_bare)
            self._carried[key] = ({**before, **reply.carries}, self._clock() + CARRIED_FOR)
        await self.follow(written.from_bare, reply, written.local)

    def _make_room(self, jid: str) -> None:
        """What somebody has begun in too many chats gives way, their own oldest first."""
        now = self._clock()
        self._carried = {key: one for key, one in self._carried.items() if one[1] > now}
        mine = [key for key in self._carried if key[0] == jid]
        for key in mine[: max(len(mine) - _MOST_CARRIED_BY_ONE + 1, 0)]:
            del self._carried[key]
        while len(self._carried) >= _MOST_CARRIED:
            del self._carried[next(iter(self._carried))]

    async def follow(self, jid: str, reply: Reply, local: str = "") -> None:
        """What a command's answer means for presence and roster; `local` is the chat it was given in."""
        if reply.introduces:
            await self._rosters.introduce(jid, reply.introduces)
        if reply.gives is not None:
            await self._give(jid, reply.gives, local)
        if reply.registered:
            line = await self._gateway.line_of(self._transport.name, jid)
            if line is not None:
                self.welcome(line)
        if reply.leaves is not None:
            self.departed(jid)

    async def _give(self, jid: str, file: Attachment, local: str) -> None:
        """A file that belongs to an answer: as a file, else as text, else a word about why not."""
        here = f"{local}@{self._transport.jid}" if local else self._transport.jid
        url = await self.places.place(file, here) if self.places is not None else ""
        texts = [url] if url else await self._in_words(jid, file)
        self._post.reply(
            *(stanzas.prompt(here, jid, self._gateway.new_name(), one, link=url) for one in texts)
        )

    async def _in_words(self, jid: str, file: Attachment) -> list[str]:
        language = self._gateway.languages.of(jid)
        no_place = tr(
            "There is no place to put files: your chat server offers none, and this gateway has no public "
            "address. Please tell its administrator."
        )
        if self._services is None:
            return [translate(no_place, language)]
        pieces, complete = await self._services.wishes.as_text(self._transport.name, file)
        if pieces and complete:
            return pieces
        if pieces:
            return [*pieces, translate(tr("It goes on, too long for a chat."), language)]
        return [f"📎 {file.name}: {translate(no_place, language)}"]

    def departed(self, jid: str) -> None:
        """Somebody has left or was removed; the record has noted whom the chat server must part from them."""
        self._dialogue.forget(jid)
        self._rosters.look()

    def moved(self, old: str, line: Line, locals_: Sequence[str]) -> None:
        """Somebody goes on under another address: the old one is left, the new one asked."""
        self.departed(old)
        self.welcome(line)
        self._rosters.introduce_soon(line.jid, locals_)

    def welcome(self, line: Line) -> None:
        """Somebody has just been registered, whichever way."""
        greeting = words.welcome(self._transport, line.address, self._gateway.languages.of(line.jid))
        prompt = stanzas.prompt(self._transport.jid, line.jid, self._gateway.new_name(), greeting)
        # The prompt comes last: converse.js stumbles over a domain that joins the roster after it has spoken.
        said = (*self._presence.welcome(line.jid), prompt)
        self._rosters.seat(line.jid, said)

    async def welcome_late(self, jid: str) -> None:
        """Somebody was registered, and the gateway stopped before they were welcomed."""
        line = await self._gateway.line_of(self._transport.name, jid)
        if line is not None:
            self.welcome(line)


def _said(written: Written) -> str:
    """What a line to the gateway asks. A file that is shared here can only be an address book."""
    return f"import {written.files[0].source}" if written.files else written.body


def _command_in(written: Written) -> str:
    """The part of a line that begins with a slash; empty if there is none. The quote of what a swipe
    answers stands before it in some clients (XEP-0461 section 3)."""
    body = written.body
    if body.startswith("/"):
        return body
    if written.reply_to and body.startswith(">"):
        text = "\n".join(dropwhile(lambda line: line.startswith(">"), body.splitlines()))
        return text if text.startswith("/") else ""
    return ""


async def _post(written: Written, context: Context, values: Values) -> Reply:
    if not is_sure(values):
        return Reply(tr("Nothing was sent."))
    await context.services.wishes.write(context.transport, written)
    return Reply("", sent=True)
