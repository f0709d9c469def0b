"""Commands about messages: find, why, send, undo, whole, file."""

import time

from bridge.addressing import to_local
from bridge.commands.asking import one_form
from bridge.commands.model import (
    Command,
    Context,
    Field,
    Kind,
    Refused,
    Reply,
    Step,
    Table,
    Values,
    Where,
)
from bridge.i18n import Phrase, tr, translate
from bridge.model import Direction, Fact, Outcome, State
from bridge.store.desk import Hit, Told
from bridge.wishes import MOST_HITS

_SNIPPET = 120  # characters


def moment(at: float) -> str:
    """A time as the gateway's own clock shows it; with the day if it is not today's."""
    then = time.localtime(at)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


# --- find ---

_FIND = Step(tr("Find"), (Field("word", tr("A word or a piece of text"), rest=True),))


async def _find(context: Context, values: Values) -> Reply:
    found = await context.services.wishes.find(
        context.transport, context.user.jid, values["word"], context.address
    )
    if not found:
        return Reply(tr("Nothing found with “{word}”.", word=values["word"]))
    shown = found[:MOST_HITS]
    rows = tuple((moment(one.written_at), _who(context, one), _snippet(one, values["word"])) for one in shown)
    texts = [f"{when} {who}: {what}" for when, who, what in rows]
    if len(found) > MOST_HITS:
        texts.append(translate(tr("There is more: add a word to narrow it down."), context.language))
    columns = (
        ("time", translate(tr("Time"), context.language)),
        ("who", translate(tr("Who"), context.language)),
        ("text", translate(tr("Text"), context.language)),
    )
    return Reply("\n".join(texts), table=Table(columns, rows))


def _who(context: Context, one: Hit) -> str:
    if one.direction is Direction.IN:
        return one.person
    return translate(tr("you to {who}", who=one.person), context.language)


def _snippet(one: Hit, word: str) -> str:
    text = " ".join(one.body.split())
    at = max(text.casefold().find(word.casefold()) - _SNIPPET // 3, 0)
    piece = text[at : at + _SNIPPET]
    return f"{'…' if at else ''}{piece}{'…' if at + _SNIPPET < len(text) else ''}"


# --- why: what became of a message ---


async def _why(context: Context, values: Values) -> Reply:
    wishes = context.services.wishes
    told = await wishes.last_to(context.transport, context.user.jid, context.address, context.reply_to)
    if told is None:
        raise Refused(tr("You have not written anything here yet."))
    hit = told.hit
    facts = await wishes.gateway.status_of(
        context.transport, context.jid, to_local(hit.address), hit.stanza_id
    )
    first = " ".join(hit.body.split())[:60]
    shown = f"“{first}”" if first else translate(tr("A file"), context.language)
    texts = [f"{shown} → {hit.person}, {moment(hit.written_at)}"]
    known = [translate(_fact(one), context.language).rstrip() for one in facts if one.what != "written"]
    texts += dict.fromkeys(known or [translate(tr("It waits to be sent."), context.language)])
    if facts and facts[-1].what in (State.SENT, State.DELIVERED, Outcome.SENT, Outcome.DELIVERED):
        texts.append(translate(_since(told), context.language))
    return Reply("\n".join(texts))


def _fact(one: Fact) -> Phrase:
    at = moment(one.at)
    reason = tr(one.text) if one.text else ""
    match one.what:
        case "tried":
            return tr("{time} tried.", time=at)
        case "waits" if one.text in ("window", "hold", ""):
            return tr("It waits to be sent, {time} at the latest.", time=at)
        case "waits":
            return tr("Not sent yet: {reason} Next try {time}.", reason=reason, time=at)
        case "doubt":
            return tr("The line broke while it was being sent; this is being looked into.")
        case "told":
            return tr("{time} you were told that it waits.", time=at)
        case State.SENT:
            return tr("{time} accepted by the next server.", time=at)
        case State.DELIVERED:
            return tr("{time} delivered.", time=at)
        case State.FAILED:
            return tr("{time} ✗ {reason} {code}", time=at, reason=reason, code=_code(one))
        case State.CANCELLED:
            return tr("{time} taken back; it was not sent.", time=at)
        case State.UNKNOWN:
            return tr("Nobody can say whether it arrived: {reason}", reason=reason)
    return tr("{time} reported: {what} {reason}", time=at, what=one.what, reason=reason)


def _code(one: Fact) -> str:
    """What servers said in numbers, unless the sentence has it already."""
    return f"({one.code})" if one.code and one.code not in one.text else ""


def _since(told: Told) -> Phrase:
    if told.answered_at is not None:
        return tr("Answered {time}.", time=moment(told.answered_at))
    return tr("No bounce; no answer.")


# --- what waits, and files: where the gateway can ---


async def _send(context: Context, values: Values) -> Reply:
    holds = context.services.holds
    if holds is None:
        raise Refused(tr("Nothing waits here: what you write goes at once."))
    return Reply(await holds.send_now(context.transport, context.user.jid, context.local))


async def _undo(context: Context, values: Values) -> Reply:
    holds = context.services.holds
    if holds is None:
        raise Refused(tr("Nothing waits here: what you write goes at once."))
    return Reply(await holds.undo(context.transport, context.user.jid, context.local))


async def _cancel(context: Context, values: Values) -> Reply:
    holds = context.services.holds
    if holds is None:
        raise Refused(tr("Nothing waits here: what you write goes at once."))
    return Reply(await holds.cancel(context.transport, context.user.jid, context.local, context.reply_to))


_FILE = Step(tr("File"), (Field("number", tr("Number of the file"), Kind.NUMBER, required=False, least=1),))


async def _file(context: Context, values: Values) -> Reply:
    """Without a number: which there are."""
    wishes = context.services.wishes
    found = await wishes.files(context.transport, context.user.jid, context.address)
    if not found:
        raise Refused(tr("There are no files here."))
    if not values["number"]:
        rows = [
            f"{number}  {one.attachment.name} · {one.person} · {moment(one.written_at)}"
            for number, one in enumerate(found, 1)
        ]
        return Reply("\n".join(rows))
    if int(values["number"]) > len(found):
        raise Refused(tr("Write a number from {least} to {most}.", least=1, most=len(found)))
    return Reply("", gives=await wishes.at_hand(found[int(values["number"]) - 1].attachment))


async def _whole(context: Context, values: Values) -> Reply:
    wishes = context.services.wishes
    last = await wishes.last_from(context.transport, context.user.jid, context.address, context.reply_to)
    original = await wishes.original(last.message_id) if last is not None else None
    if original is None:
        raise Refused(tr("There is nothing more of it here."))
    return Reply("", gives=await wishes.at_hand(original))


def _has_holds(context: Context) -> bool:
    return context.services.holds is not None


def _has_files(context: Context) -> bool:
    return context.services.wishes.gives_files


COMMANDS = (
    Command(
        ("find", "search"),
        tr("Search in your messages; in a chat, in what was written there."),
        _find,
        one_form(_FIND),
        where=Where.BOTH,
        usage=tr("WORD"),
        german=("suche", "finde", "suchen"),
    ),
    Command(
        ("why", "status"),
        tr("What became of your last message, or of the one you answer."),
        _why,
        where=Where.BOTH,
        german=("warum",),
    ),
    Command(
        ("send", "now"),
        tr("Send at once what waits."),
        _send,
        where=Where.CHAT,
        german=("senden",),
        available=_has_holds,
    ),
    Command(
        ("cancel",),
        tr("Try no longer to send what waits, or take back the message that you answer."),
        _cancel,
        where=Where.CHAT,
        german=("abbrechen",),
        available=_has_holds,
    ),
    Command(
        ("undo",),
        tr("Take back the last message, if it has not gone."),
        _undo,
        where=Where.CHAT,
        german=("zurück",),
        available=_has_holds,
    ),
    Command(
        ("whole",),
        tr("All of a mail that was shortened."),
        _whole,
        where=Where.CHAT,
        german=("ganz",),
        available=_has_files,
    ),
    Command(
        ("file", "files"),
        tr("Give a file again."),
        _file,
        one_form(_FILE),
        where=Where.BOTH,
        usage=tr("[NUMBER]"),
        german=("datei", "dateien"),
        available=_has_files,
    ),
)
