"""The way in by text: lines to the gateway, and slash commands in a contact's chat. Text in, text out.

Forgiving in spelling; asks for what is missing, and remembers for a while what it asked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.addressing import to_local
from bridge.commands import running, tree
from bridge.commands.account import REGISTER
from bridge.commands.addressing import FirstLine, first_line
from bridge.commands.estate import MOVE
from bridge.commands.model import Command, Context, Invalid, Kind, Refused, Reply, Where, offered
from bridge.commands.running import Asking
from bridge.events import Denied, Written
from bridge.i18n import tr, translate

LASTS = 300.0  # seconds that a question waits for its answer
_MOST_QUESTIONS = 1_000
_MOST_OF_STRANGERS = 200  # anybody out there can ask to register
_MOST_OF_ONE = 5  # a question may hold a whole message
_STOP = frozenset({"cancel", "stop", "abbrechen", "abbruch"})
_TAKE_IT_BACK = tr(
    "Your password stands in this chat now, and in its archive: please delete (retract) that line. The form "
    "of this command, in your program's menu of commands, keeps it out of both."
)
_RATHER_THE_FORM = tr(
    "Better in the form of this command, in your program's menu of commands: what you type here stays in "
    "your archive."
)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and of whom."""

    context: Context
    command: Command
    asked: Asking
    until: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user reads, in their language, and what else follows."""

    text: str
    reply: Reply | None = None
    puzzled: bool = False  # what was typed is neither a command nor an address


class Dialogue:
    """One for each transport."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._questions: dict[tuple[str, str], Question] = {}  # by bare JID and node of the chat

    # --- to the gateway ---

    async def at_gateway(self, context: Context, text: str) -> Answer:
        """A line to the gateway's own JID. Never raises for what was typed."""
        leaked = self._has_secret(context, text.strip())
        try:
            answer = await self._at_gateway(context, text.strip())
        except (Refused, Invalid) as refusal:
            answer = Answer(translate(_text(refusal), context.language))
        except Denied as denied:
            answer = Answer(translate(denied.text, context.language))
        if leaked:
            answer = replace(answer, text=f"{answer.text}\n{translate(_TAKE_IT_BACK, context.language)}")
        return answer

    def _has_secret(self, context: Context, text: str) -> bool:
        """Whether a password is typed here, in a command or because one was asked for."""
        word, _, rest = text.lstrip("/").partition(" ")
        command = tree.named(context, word.rstrip(":!."), Where.GATEWAY)
        if command is not None:
            return command.has_secret(rest)
        question = self._questions.get((context.jid, context.local))
        asked = question is not None and question.asked.missing.kind is Kind.SECRET
        return asked and word.casefold() not in _STOP

    async def _at_gateway(self, context: Context, text: str) -> Answer:
        word, _, rest = text.lstrip("/").partition(" ")
        command = tree.named(context, word.rstrip(":!."), Where.GATEWAY)
        question = self._take(context)
        if question is not None and word.casefold() in _STOP and not rest:  # admins have a `stop` too
            return Answer(translate(tr("Nothing was changed."), context.language))
        if question is not None and command is None:
            return await self._answered(context, question, text)
        if command is not None:
            return await self._run(await self._speaking(context, command, word), command, rest)
        if word.casefold() in _STOP and not rest:
            raise Refused(tr("There is nothing to cancel here. In a contact's chat /undo takes back a line."))
        adapter = context.services.wishes.transport(context.transport).adapter
        found = first_line(adapter, text)
        if found is not None:
            return await self._first_line(context, found)
        return await self._guess(context, word, rest)

    async def _speaking(self, context: Context, command: Command, word: str) -> Context:
        """Whoever types a command in a language reads that language from then on."""
        language = command.language_of(word.casefold().rstrip(":!."))
        if not language or language == context.language:
            return context
        await context.services.wishes.spoke(context.jid, language, registered=context.line is not None)
        spoken = context.services.wishes.gateway.languages.of(context.jid, language)
        return replace(context, language=spoken)

    async def _guess(self, context: Context, word: str, rest: str) -> Answer:
        close = tree.nearest(context, word, Where.GATEWAY)
        if close is None and context.line is None:
            raise Refused(tr("You are not registered here yet. Type register to begin."))
        if close is None:
            hint = tr("I do not understand this. Type help, or an address and your first line.")
            return Answer(translate(hint, context.language), puzzled=True)
        command, name = close
        if command.exact:
            return Answer(
                translate(tr("Did you mean {name}? Nothing was changed.", name=name), context.language)
            )
        return await self._run(context, command, rest)

    async def _first_line(self, context: Context, found: FirstLine) -> Answer:
        """Contact, conversation and first message in one."""
        line = context.user
        wishes = context.services.wishes
        contact = await wishes.add(context.transport, context.jid, found.address, found.name[:200])
        jid = f"{contact.local}@{wishes.transport(context.transport).jid}"
        if not found.text:
            told = tr(
                "{who} is a contact now: {jid}. You write from {own}.",
                who=found.address,
                jid=jid,
                own=line.address,
            )
            return Answer(translate(told, context.language), Reply("", introduces=(contact.local,)))
        written = Written(
            from_bare=context.jid,
            from_full=context.full,
            local=to_local(found.address),
            stanza_id=context.stanza_id,
            body=found.text,
            wants_receipt=False,
            language=context.language,
        )
        await wishes.write(context.transport, written)
        told = tr(
            "Goes to {who} from {own}. The chat with them is {jid}.",
            who=found.address.replace(",", ", "),
            own=line.address,
            jid=jid,
        )
        return Answer(translate(told, context.language), Reply("", introduces=(contact.local,)))

    # --- in a contact's chat ---

    async def in_chat(self, context: Context, text: str) -> Answer:
        """A line that begins with one slash. Never sent out, never raises for what was typed."""
        try:
            return await self._in_chat(context, text)
        except (Refused, Invalid) as refusal:
            return Answer(translate(_text(refusal), context.language))
        except Denied as denied:
            return Answer(translate(denied.text, context.language))

    async def _in_chat(self, context: Context, text: str) -> Answer:
        # A line break ends the word as well: `/subject` may be followed by a whole message.
        words = text[1:].split(maxsplit=1)
        word = words[0] if words else ""
        rest = text[1:].lstrip()[len(word) :].lstrip(" ")
        command = tree.named(context, word, Where.CHAT)
        question = self._take(context)
        if question is not None and command is not None and command.name in ("yes", "no"):
            return await self._answered(context, question, command.name)
        if command is not None:
            return await self._run(context, command, rest)
        close = tree.nearest(context, word, Where.CHAT)
        if close is not None:
            told = tr(
                "There is no /{word}. Did you mean /{name}? Nothing was sent.", word=word[:40], name=close[1]
            )
        else:
            told = tr(
                "There is no /{word}; nothing was sent. /help shows what there is; // sends a slash.",
                word=word[:40],
            )
        return Answer(translate(told, context.language))

    def ask_in_chat(self, context: Context, command: Command, asked: Asking) -> None:
        """Somebody else asks here: /yes and /no answer."""
        self._remember(context, command, asked)

    # --- both ---

    async def _run(self, context: Context, command: Command, rest: str) -> Answer:
        return self._told(context, command, await running.begin(context, command, rest))

    async def _answered(self, context: Context, question: Question, text: str) -> Answer:
        # The question's own context: what is sent goes under the id of the line that asked for it.
        asked_in = replace(question.context, language=context.language, line=context.line)
        try:
            outcome = await running.answer(asked_in, question.command, question.asked, text)
        except Invalid as invalid:
            self._remember(question.context, question.command, question.asked)
            return Answer(translate(_text(invalid), context.language))
        return self._told(asked_in, question.command, outcome)

    def _told(self, context: Context, command: Command, outcome: Reply | Asking) -> Answer:
        if isinstance(outcome, Reply):
            return Answer(translate(outcome.text, outcome.language or context.language), outcome)
        if context.local and outcome.missing.kind is not Kind.BOOL:
            # In a chat the next plain line is a message: nothing is asked that it could be taken for.
            name, usage = command.called(context.language), command.follows(True)
            raise Refused(tr("Write it like this: /{name} {usage}", name=name, usage=usage))
        self._remember(context, command, outcome)
        return Answer(_question(context, outcome))

    def _remember(self, context: Context, command: Command, asked: Asking) -> None:
        now = self._clock()
        self._questions = {key: one for key, one in self._questions.items() if one.until > now}
        self._forget_oldest(lambda one: one.context.jid == context.jid, _MOST_OF_ONE)
        if context.line is None:
            self._forget_oldest(lambda one: one.context.line is None, _MOST_OF_STRANGERS)
        self._forget_oldest(lambda one: True, _MOST_QUESTIONS)
        self._questions[context.jid, context.local] = Question(context, command, asked, now + LASTS)

    def _forget_oldest(self, of: Callable[[Question], bool], most: int) -> None:
        """So that one more of these makes `most` of them."""
        found = [key for key, one in self._questions.items() if of(one)]
        for key in found[: max(len(found) - most + 1, 0)]:
            del self._questions[key]

    def _take(self, context: Context) -> Question | None:
        question = self._questions.pop((context.jid, context.local), None)
        return question if question is not None and question.until > self._clock() else None

    def forget(self, jid: str) -> None:
        """Somebody left: what they were asked is void."""
        for key in [key for key in self._questions if key[0] == jid]:
            del self._questions[key]


def _question(context: Context, asked: Asking) -> str:
    language = context.language
    texts = [translate(asked.step.text, language)] if asked.step.text and not _begun(asked) else []
    label = translate(asked.missing.label, language)
    if asked.missing.kind is Kind.BOOL:
        hint = tr("/yes within 5 minutes.") if context.local else tr("Answer yes or no, please.")
        texts.append(translate(hint, language))
        return " ".join(texts) if context.local else "\n".join(texts)
    if asked.missing.kind is Kind.SECRET:
        texts.append(translate(_RATHER_THE_FORM, language))
    choices = asked.missing.choices
    if any(one.value != one.label for one in choices):  # what is typed, and what it means
        meanings = (f"{one.value} – {translate(one.label, language)}" for one in choices)
        return "\n".join((*texts, f"{label}?", *meanings))
    if choices:
        label = f"{label} ({translate(offered(asked.missing), language)})"
    return "\n".join((*texts, f"{label}?" if label[-1].isalnum() else label))


def _begun(asked: Asking) -> bool:
    """Whether another field of the same step has been asked for already."""
    return asked.missing is not asked.step.fields[0]


def _text(error: Exception) -> str:
    return error.args[0] if error.args else ""


def asks_to_come(context: Context, text: str) -> bool:
    """Whether a line says itself how somebody wants to come here, or they are awaited: then their first
    word is no more."""
    word = text.strip().lstrip("/").partition(" ")[0].casefold()
    estate = context.services.estate
    return word in (*REGISTER.every_name(), *MOVE.every_name()) or (
        estate is not None and estate.awaits(context.jid)
    )
