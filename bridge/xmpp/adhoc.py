"""The way in by ad-hoc commands (XEP-0050): the tree as nodes, its steps as forms, sessions that expire."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from bridge.commands import model, tree
from bridge.commands.model import (
    LONGEST_VALUE,
    Command,
    Context,
    Invalid,
    Kind,
    Refused,
    Reply,
    Step,
    Where,
    Who,
    no_steps,
)
from bridge.commands.services import Services
from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.xmpp import errors, forms, words, xml
from bridge.xmpp.bot import Bot
from bridge.xmpp.presence import Post

NAMESPACE = "http://jabber.org/protocol/commands"
COMMAND = f"{{{NAMESPACE}}}command"
ITEMS = "{http://jabber.org/protocol/disco#items}query"
INFO = "{http://jabber.org/protocol/disco#info}query"

LASTS = 900.0  # seconds that a form may lie there
_MOST_SESSIONS = 1_000
_MOST_OF_STRANGERS = 100  # a server out there can invent as many of them as it likes
_MOST_OF_ONE = 10  # forms that one client may have open; the oldest gives way
_MOST_STEPS = 20
_FORM = f"{{{xml.DATA_FORM}}}x"
_ACTIONS = ("execute", "next", "prev", "complete", "cancel")


@dataclass(slots=True)
class Session:
    """One run of a command, as far as it has come."""

    id: str
    owner: str  # full JID
    stranger: bool  # not registered here
    command: Command
    until: float
    steps: list[tuple[Step, dict[str, str]]] = field(default_factory=list)  # with the values before each
    given: dict[str, str] = field(default_factory=dict)  # what was filled in, also after going back


@dataclass(eq=False)
class BadCommand(Exception):
    """XEP-0050 section 4.4: a condition and one of its own beside it."""

    condition: str
    error_type: str
    own: str
    text: str


class AdHoc:
    """One transport's."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        services: Services,
        post: Post,
        bot: Bot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._services = services
        self._post = post
        self._bot = bot
        self._clock = clock
        self._sessions: dict[str, Session] = {}  # oldest first

    # --- what there is (XEP-0030) ---

    async def items(self, request: Element) -> None:
        """Answer a list of commands. Raises Denied for other nodes."""
        node = request[0].get("node", "")
        context = await self._context(request)
        listed = ""
        if node == NAMESPACE:
            target = xml.attribute(request.get("to", ""))
            listed = "".join(
                f"<item jid='{target}' node='{xml.attribute(one.ad_hoc_node)}'"
                f" name='{xml.attribute(_name(one, context))}'/>"
                for one in self._offered(context)
            )
        elif self._find(context, node) is None:
            raise Denied(tr("There is nothing under that name here."), "item-not-found", "cancel")
        space = "http://jabber.org/protocol/disco#items"
        self._answer(request, f"<query xmlns='{space}' node='{xml.attribute(node)}'>{listed}</query>")

    async def info(self, request: Element) -> None:
        """Say what a node is. Raises Denied for one that there is not."""
        node = request[0].get("node", "")
        context = await self._context(request)
        if node == NAMESPACE:
            kind, name = "command-list", translate(tr("Commands"), context.language)
        elif (command := self._find(context, node)) is not None:
            kind, name = "command-node", _name(command, context)
        else:
            raise Denied(tr("There is nothing under that name here."), "item-not-found", "cancel")
        space = "http://jabber.org/protocol/disco#info"
        self._answer(
            request,
            f"<query xmlns='{space}' node='{xml.attribute(node)}'>"
            f"<identity category='automation' type='{kind}' name='{xml.attribute(name)}'/>"
            f"<feature var='{NAMESPACE}'/><feature var='{xml.DATA_FORM}'/></query>",
        )

    def _offered(self, context: Context) -> list[Command]:
        where = Where.CHAT if context.local else Where.GATEWAY
        return [one for one in tree.offered(context) if one.is_typed(where) and _has_form(one)]

    def _find(self, context: Context, node: str) -> Command | None:
        found = tree.at_node(context, node)
        where = Where.CHAT if context.local else Where.GATEWAY
        return found if found is not None and found.is_typed(where) and _has_form(found) else None

    # --- running ---

    async def handle(self, request: Element) -> None:
        """Answer one `<command/>`. Raises Denied."""
        try:
            await self._handle(request, request[0])
        except BadCommand as bad:
            language = self._language(request)
            own = f"<{bad.own} xmlns='{NAMESPACE}'/>" if bad.own else ""
            refusal = Denied(bad.text, bad.condition, bad.error_type)
            self._post.reply(errors.answer("iq", request.attrib, refusal, self._transport.jid, language, own))

    async def _handle(self, request: Element, command: Element) -> None:
        action = command.get("action", "execute")
        if request.get("type") != "set":
            raise BadCommand("bad-request", "modify", "", tr("A command is set, not asked for."))
        if action not in _ACTIONS:
            raise BadCommand("bad-request", "modify", "malformed-action", tr("There is no such action."))
        context = await self._context(request)
        if command.get("sessionid") is None:
            await self._begin(request, context, command.get("node", ""), action)
            return
        session = self._session(request, command)
        if action == "cancel" or _is_cancelled(command):
            del self._sessions[session.id]
            self._say(request, session, "canceled")
        elif action == "prev":
            self._back(request, context, session)
        else:
            await self._forward(request, context, session, command.find(_FORM))

    async def _begin(self, request: Element, context: Context, node: str, action: str) -> None:
        command = self._find(context, node)
        if command is None:
            hidden = any(one.ad_hoc_node == node and one.who is Who.ADMIN for one in tree.TREE)
            if hidden:
                raise Denied(tr("This is for the gateway's administrators."), "forbidden", "cancel")
            raise Denied(tr("There is no such command here."), "item-not-found", "cancel")
        if not tree.may(context, command):
            raise Denied(
                tr("You are not registered here yet. Type register to begin."),
                "registration-required",
                "auth",
            )
        session = Session(
            str(uuid.uuid4()), context.full, context.line is None, command, self._clock() + LASTS
        )
        if action == "cancel":
            self._say(request, session, "canceled")
            return
        self._make_room(context.full, stranger=session.stranger)
        self._sessions[session.id] = session
        await self._go_on(request, context, session, {})

    def _session(self, request: Element, command: Element) -> Session:
        """Raises BadCommand for one that is over, or somebody else's."""
        session = self._sessions.get(command.get("sessionid", ""))
        if session is None or session.owner != request.get("from"):
            raise BadCommand(
                "not-allowed",
                "cancel",
                "session-expired",
                tr("This form is no longer valid. Please begin again."),
            )
        if session.until < self._clock():
            del self._sessions[session.id]
            raise BadCommand(
                "not-allowed",
                "cancel",
                "session-expired",
                tr("This form lay here for too long. Please begin again."),
            )
        session.until = self._clock() + LASTS
        return session

    def _back(self, request: Element, context: Context, session: Session) -> None:
        if len(session.steps) < 2:
            raise BadCommand("bad-request", "modify", "bad-action", tr("This is the first step."))
        session.steps.pop()
        self._show(request, context, session)

    async def _forward(
        self, request: Element, context: Context, session: Session, form: Element | None
    ) -> None:
        if form is None or form.get("type") != "submit":
            raise BadCommand("bad-request", "modify", "bad-payload", tr("The form is missing."))
        step, before = session.steps[-1]
        given = forms.read(form)
        # Longer values are refused anyway, and a session keeps what it was given.
        session.given |= {
            one.name: given.get(one.name, "")[: LONGEST_VALUE + 1]
            for one in step.fields
            if one.kind is not Kind.SECRET
        }
        try:
            values = model.check(step, given)
        except Invalid as invalid:
            self._show(request, context, session, invalid.args[0])
            return
        await self._go_on(request, context, session, {**before, **values})

    async def _go_on(
        self, request: Element, context: Context, session: Session, values: dict[str, str]
    ) -> None:
        """The next form, or the result. What cannot be done is said beside the form, if there is one."""
        try:
            step = await session.command.steps(context, values)
            if step is not None and len(session.steps) < _MOST_STEPS:
                session.steps.append((step, values))
                self._show(request, context, session)
                return
            reply = await session.command.run(context, values)
        except (Refused, Invalid, Denied) as refusal:
            text = refusal.text if isinstance(refusal, Denied) else refusal.args[0]
            if session.steps:
                self._show(request, context, session, text)
            else:
                self._sessions.pop(session.id, None)
                self._finish(request, context, session, Reply(text), "error")
            return
        except BaseException:
            self._sessions.pop(session.id, None)
            raise
        self._sessions.pop(session.id, None)
        self._finish(request, context, session, reply, "warn" if reply.warn else "info")
        await self._bot.follow(context.jid, reply, context.local)

    # --- answering ---

    def _show(self, request: Element, context: Context, session: Session, problem: str = "") -> None:
        step, _ = session.steps[-1]
        back = "<prev/>" if len(session.steps) > 1 else ""
        onward = "complete" if step.last else "next"
        note = _note("error", translate(problem, context.language)) if problem else ""
        form = forms.ask(step, session.given, context.language, _form_type(session.command))
        self._say(
            request,
            session,
            "executing",
            f"<actions execute='{onward}'>{back}<{onward}/></actions>{note}{form}",
        )

    def _finish(self, request: Element, context: Context, session: Session, reply: Reply, kind: str) -> None:
        note = _note(kind, translate(reply.text, reply.language or context.language)) if reply.text else ""
        self._say(request, session, "completed", f"{note}{forms.result(reply, _form_type(session.command))}")

    def _say(self, request: Element, session: Session, status: str, inside: str = "") -> None:
        self._answer(
            request,
            f"<command xmlns='{NAMESPACE}' node='{xml.attribute(session.command.ad_hoc_node)}'"
            f" sessionid='{session.id}' status='{status}'>{inside}</command>",
        )

    def _answer(self, request: Element, inside: str) -> None:
        self._post.reply(xml.result(request, inside))

    # --- parts ---

    def _language(self, request: Element) -> str:
        return self._gateway.languages.of(
            xml.bare(request.get("from", "")), request.get(xml.LANGUAGE) or request[0].get(xml.LANGUAGE) or ""
        )

    async def _context(self, request: Element) -> Context:
        """Raises Denied for a contact's JID that is no address."""
        full = request.get("from", "")
        local = words.contact_in(request.get("to", ""))
        context = await self._bot.context(xml.bare(full), full, local, self._language(request))
        if not local:
            return context
        address = self._gateway.address_of(self._transport.name, local)
        return replace(context, address=address.canonical)

    def _make_room(self, owner: str, *, stranger: bool) -> None:
        """The oldest give way: first those over their time, then one's own, strangers' to strangers'."""
        now = self._clock()
        self._sessions = {key: one for key, one in self._sessions.items() if one.until >= now}
        bare = xml.bare(owner)
        self._forget_oldest(lambda one: xml.bare(one.owner) == bare, _MOST_OF_ONE)
        self._forget_oldest(lambda one: one.stranger, _MOST_OF_STRANGERS if stranger else _MOST_SESSIONS)
        self._forget_oldest(lambda one: True, _MOST_SESSIONS)

    def _forget_oldest(self, of: Callable[[Session], bool], most: int) -> None:
        """So that one more of these makes `most` of them."""
        found = [key for key, one in self._sessions.items() if of(one)]
        for key in found[: max(len(found) - most + 1, 0)]:
            del self._sessions[key]


def _name(command: Command, context: Context) -> str:
    """How it stands in a list, where clients show it as a heading."""
    return translate(command.summary, context.language).removesuffix(".")


def _has_form(command: Command) -> bool:
    """Whether it can be run without words typed after its name."""
    return command.typed is None or command.steps is not no_steps


def _form_type(command: Command) -> str:
    return forms.ADMIN_FORM if command.node.startswith(forms.ADMIN_FORM) else ""


def _is_cancelled(command: Element) -> bool:
    form = command.find(_FORM)
    return form is not None and form.get("type") == "cancel"


def _note(kind: str, text: str) -> str:
    return f"<note type='{kind}'>{xml.text(text)}</note>"
