"""Commands in a contact's chat that send something: to all, with copies, under a subject, an answer to
an invitation, a reaction. What they ask of an adapter stands in bridge.options."""

from dataclasses import replace
from email.utils import getaddresses

from bridge.addressing import to_local
from bridge.commands.asking import SURE, are_you_sure, is_sure
from bridge.commands.contacts import canonical
from bridge.commands.model import Command, Context, Field, Refused, Reply, Step, Values, Where
from bridge.events import Written
from bridge.i18n import tr, translate
from bridge.options import ALL, CC, MEMO_INVITATION, MEMO_OTHERS, REACTION, RSVP, SUBJECT
from bridge.store.desk import LastMail
from bridge.store.posting import MANY

_NAMED = 2
MOST_COPIES = 50


def _written(context: Context, body: str, **more: object) -> Written:
    """What was typed as a message of its own, under the id of the stanza that was typed."""
    written = Written(
        from_bare=context.jid,
        from_full=context.full,
        local=context.local,
        stanza_id=context.stanza_id,
        body=body,
        reply_to=context.reply_to,
        wants_receipt=context.wants_receipt,
        language=context.language,
    )
    return replace(written, **more)  # type: ignore[arg-type]  # the names are Written's own


async def _send(context: Context, written: Written, text: str = "") -> Reply:
    await context.services.wishes.write(context.transport, written)
    return Reply(text, sent=True)


_NOTHING_HERE = tr("There is nothing to answer here yet.")


async def _last_or_none(context: Context) -> LastMail | None:
    return await context.services.wishes.last_from(
        context.transport, context.user.jid, context.address, context.reply_to
    )


async def _last(context: Context) -> LastMail:
    """The mail that an answer would answer. Raises Refused."""
    found = await _last_or_none(context)
    if found is None:
        raise Refused(_NOTHING_HERE)
    return found


# --- /all ---

_TEXT = Field("text", tr("Text"), rest=True)


def others(last: LastMail) -> list[tuple[str, str]]:
    """Names and addresses of who else got a mail."""
    return [(name, address) for name, address in getaddresses([last.memo.get(MEMO_OTHERS, "")]) if address]


async def _all_steps(context: Context, values: Values) -> Step | None:
    if "text" not in values:
        return Step(tr("Answer everybody"), (_TEXT,), last=False)
    last = await _last_or_none(context)
    people = others(last) if last is not None else []
    if last is None and not await _people(context):
        raise Refused(_NOTHING_HERE)
    if last is not None and not people:
        raise Refused(tr("Nobody else got that mail, or you were in neither To nor Cc; answer as usual."))
    if len(people) <= MANY or SURE in values:
        return None
    named = ", ".join((name or address).split()[0] for name, address in people[:_NAMED])
    text = tr(
        "Reaches {count} people ({names}, +{more}).",
        count=len(people),
        names=named,
        more=len(people) - _NAMED,
    )
    return are_you_sure(tr("Answer everybody"), text)


async def _all(context: Context, values: Values) -> Reply:
    if SURE in values and not is_sure(values):
        return Reply(tr("Nothing was sent."))
    last = await _last_or_none(context)
    answers = last.stanza_id if last is not None else ""  # a chat in which nothing came goes to all anyway
    return await _send(context, _written(context, values["text"], options={ALL: "1"}, reply_to=answers))


async def _people(context: Context) -> bool:
    """Whether the chat is with several people."""
    chats = context.services.wishes.chats
    return bool(await chats.people(context.transport, context.user.jid, context.address))


# --- /cc, /subject, /to ---


async def _cc_typed(context: Context, text: str) -> Values:
    who, _, rest = text.strip().partition(" ")
    named = [one for one in who.replace(";", ",").split(",") if one]
    if len(named) > MOST_COPIES:
        raise Refused(tr("At most {most} people get a copy.", most=MOST_COPIES))
    addresses = [canonical(context, one) for one in named]
    if not addresses:
        raise Refused(tr("Write it like this: /cc bob@example.org text"))
    return {"who": ", ".join(addresses), "text": rest.strip()}


async def _cc(context: Context, values: Values) -> Reply:
    if values["text"]:
        return await _send(context, _written(context, values["text"], options={CC: values["who"]}))
    return Reply(tr("The next line goes to {who} too.", who=values["who"]), carries={CC: values["who"]})


async def _subject_typed(context: Context, text: str) -> Values:
    subject, _, body = text.strip().partition("\n")
    if not subject.strip():
        raise Refused(tr("Write it like this: /subject Flat viewing"))
    return {"subject": " ".join(subject.split())[:200], "text": body.strip()}


async def _subject(context: Context, values: Values) -> Reply:
    subject = values["subject"]
    if values["text"]:
        return await _send(
            context,
            _written(context, values["text"], subject=subject, options={SUBJECT: subject}, reply_to=""),
        )
    return Reply(
        tr("The next line begins the thread “{subject}”.", subject=subject), carries={SUBJECT: subject}
    )


async def _to_typed(context: Context, text: str) -> Values:
    who, _, rest = text.strip().partition(" ")
    if not who or not rest.strip():
        raise Refused(tr("Write it like this: /to jane@example.org text"))
    return {"who": who, "text": rest.strip()}


async def _to(context: Context, values: Values) -> Reply:
    address = await _person(context, values["who"])
    written = _written(context, values["text"], local=to_local(address), reply_to="")
    jid = f"{to_local(address)}@{context.services.wishes.transport(context.transport).jid}"
    return await _send(
        context, written, tr("Goes to {who} alone; the chat with them is {jid}.", who=address, jid=jid)
    )


async def _person(context: Context, who: str) -> str:
    """An address, or the first name of somebody who got the last mail, or wrote it."""
    if "@" in who:
        return canonical(context, who)
    last = await _last(context)
    people = getaddresses([last.memo.get("from", "")]) + others(last)
    meant = {address for name, address in people if name.casefold().split()[:1] == [who.casefold()]}
    if len(meant) != 1:
        raise Refused(tr("It is not clear who {who} is: write the address.", who=who))
    return canonical(context, meant.pop())


# --- invitations and reactions ---


async def _answer(context: Context, answer: str, body: str) -> Reply:
    last = await _last(context)
    if not last.memo.get(MEMO_INVITATION):
        raise Refused(tr("There is no invitation and no question to answer here."))
    text = translate(body, context.language)
    return await _send(
        context, _written(context, text, options={RSVP: answer}, reply_to=last.stanza_id), text
    )


async def _yes(context: Context, values: Values) -> Reply:
    return await _answer(context, "accepted", tr("Yes, I will be there."))


async def _no(context: Context, values: Values) -> Reply:
    return await _answer(context, "declined", tr("No, I cannot be there."))


async def _maybe(context: Context, values: Values) -> Reply:
    return await _answer(context, "tentative", tr("Maybe I will be there."))


async def _react_typed(context: Context, text: str) -> Values:
    emoji = text.strip()
    if not emoji or len(emoji) > 10 or any(one.isascii() and one.isalnum() for one in emoji):
        raise Refused(tr("Write it like this: /react 👍"))
    return {"emoji": emoji}


async def _react(context: Context, values: Values) -> Reply:
    last = await _last(context)
    emoji = values["emoji"]
    return await _send(context, _written(context, emoji, options={REACTION: emoji}, reply_to=last.stanza_id))


def _is_mail(context: Context) -> bool:
    return context.services.wishes.transport(context.transport).adapter.capabilities.subjects


def _reacts(context: Context) -> bool:
    return context.services.wishes.transport(context.transport).adapter.capabilities.reactions


COMMANDS = (
    Command(
        ("all",),
        tr("Answer everybody who got the mail."),
        _all,
        _all_steps,
        where=Where.CHAT,
        usage=tr("TEXT"),
        german=("alle",),
        available=_is_mail,
    ),
    Command(
        ("cc",),
        tr("Send a copy to others too."),
        _cc,
        where=Where.CHAT,
        usage=tr("ADDRESS [TEXT]"),
        available=_is_mail,
        typed=_cc_typed,
    ),
    Command(
        ("subject",),
        tr("Begin a new thread under this subject."),
        _subject,
        where=Where.CHAT,
        usage=tr("SUBJECT"),
        german=("betreff",),
        available=_is_mail,
        typed=_subject_typed,
    ),
    Command(
        ("to",),
        tr("Write to one person alone."),
        _to,
        where=Where.CHAT,
        usage=tr("ADDRESS TEXT"),
        german=("an",),
        available=_is_mail,
        typed=_to_typed,
    ),
    Command(
        ("yes",), tr("Accept the invitation."), _yes, where=Where.CHAT, german=("ja",), available=_is_mail
    ),
    Command(
        ("no",), tr("Decline the invitation."), _no, where=Where.CHAT, german=("nein",), available=_is_mail
    ),
    Command(
        ("maybe",),
        tr("Answer the invitation with maybe."),
        _maybe,
        where=Where.CHAT,
        german=("vielleicht",),
        available=_is_mail,
    ),
    Command(
        ("react",),
        tr("Answer with one emoji."),
        _react,
        where=Where.CHAT,
        usage="👍",
        available=_reacts,
        typed=_react_typed,
    ),
)
