"""Commands about a chat itself: who is in it, what was kept of it, whether it is heard."""

from bridge.commands import spans
from bridge.commands.asking import answered
from bridge.commands.contacts import canonical
from bridge.commands.model import Command, Context, Field, Kind, Refused, Reply, Step, Values, Where
from bridge.i18n import tr, translate, trn
from bridge.policy import clock_time
from bridge.store.desk import Known

_MOST_LISTED = 50

# --- who ---


async def _who(context: Context, values: Values) -> Reply:
    people = await context.services.wishes.chats.people(context.transport, context.user.jid, context.address)
    if not people:
        return Reply(tr("This chat is with {who} alone.", who=context.address))
    lines: list[str] = [tr("You, {own}", own=context.user.address)]
    lines += [one.spelled for one in people if not one.gone][:_MOST_LISTED]
    present = sum(1 for one in people if not one.gone)
    unknown = max(people[0].count, present) - min(present, _MOST_LISTED)
    if unknown > 0:
        lines.append(f"+{unknown}")
    gone = [one.spelled for one in people if one.gone]
    if gone:
        lines.append(tr("Left out of the latest mail: {names}", names=", ".join(gone[:_MOST_LISTED])))
    lines.append(tr("A plain line answers one of them alone; /all answers everybody."))
    return Reply("\n".join(translate(line, context.language) for line in lines))


# --- show ---


async def _show(context: Context, values: Values) -> Reply:
    heard = await context.services.wishes.chats.show(context.transport, context.user.jid, context.address)
    if not heard.follow:
        return Reply(tr("Nothing is kept back here."))
    return Reply(trn("{number} message follows.", "{number} messages follow.", heard.follow))


# --- mute ---

_UNTIL = Field("until", tr("For how long (2h, 3 days, until monday)"), required=False, rest=True)
_MUTE = Step(tr("Mute"), (Field("who", tr("Address"), Kind.ADDRESS), _UNTIL))
_MUTE_HERE = Step(tr("Mute"), (_UNTIL,))
_UNMUTE = Step(tr("Unmute"), (Field("who", tr("Address"), Kind.ADDRESS),))


async def _mute_steps(context: Context, values: Values) -> Step | None:
    step = _MUTE_HERE if context.local else _MUTE
    return None if answered(step, values) else step


async def _unmute_steps(context: Context, values: Values) -> Step | None:
    return None if context.local or answered(_UNMUTE, values) else _UNMUTE


async def _mute(context: Context, values: Values) -> Reply:
    chats = context.services.wishes.chats
    known = await _contact(context, values)
    until = _end(values.get("until", ""), chats.now())
    await chats.mute(context.transport, context.user.jid, known, until)
    who = known.contact.name or known.contact.original
    if not until:
        return Reply(tr("Muted: what {who} writes is kept until you unmute.", who=who))
    told = (
        tr(
            "Muted until {time}: what {who} writes comes then. /unmute ends it.",
            who=who,
            time=clock_time(until),
        )
        if context.local
        else tr("Muted until {time}: what {who} writes comes then.", who=who, time=clock_time(until))
    )
    return Reply(told)


def _end(text: str, now: float) -> float:
    """When a mute ends; 0: never by itself. Raises Refused."""
    if not text:
        return 0.0
    until = spans.end_of(text, now)
    if until is None:
        raise Refused(tr("Write it like this: /mute 2h, /mute 3 days, /mute until monday"))
    if until > now + spans.MOST:
        raise Refused(tr("That is too long. Up to 30 days go; without a time it lasts until you unmute."))
    return until


async def _unmute(context: Context, values: Values) -> Reply:
    known = await _contact(context, values)
    who = known.contact.name or known.contact.original
    if not known.is_muted(context.services.wishes.chats.now()):
        raise Refused(tr("{who} is not muted.", who=who))
    heard = await context.services.wishes.chats.unmute(context.transport, context.user.jid, known)
    if heard.kept:
        return Reply(
            trn(
                "{who} is heard again. {number} more message came meanwhile: /show.",
                "{who} is heard again. {number} more messages came meanwhile: /show.",
                heard.kept,
                who=who,
            )
        )
    return Reply(tr("{who} is heard again; what came meanwhile follows.", who=who))


async def _contact(context: Context, values: Values) -> Known:
    address = context.address if context.local else canonical(context, values["who"])
    known = await context.services.wishes.contact(context.transport, context.user.jid, address)
    if known is None:
        raise Refused(tr("You have no contact {who}.", who=address))
    return known


def _is_mail(context: Context) -> bool:
    return context.services.wishes.transport(context.transport).adapter.capabilities.subjects


COMMANDS = (
    Command(
        ("who",),
        tr("Who is in this chat."),
        _who,
        where=Where.CHAT,
        german=("wer",),
        available=_is_mail,
    ),
    Command(
        ("show",),
        tr("Show what was kept because it came too fast."),
        _show,
        where=Where.CHAT,
        german=("zeigen",),
        available=_is_mail,
    ),
    Command(
        ("mute",),
        tr("Keep what a contact writes, for a while or until you unmute."),
        _mute,
        _mute_steps,
        where=Where.BOTH,
        usage=tr("ADDRESS [2h | until monday]"),
        here=tr("[2h | until monday]"),
        german=("stumm",),
    ),
    Command(
        ("unmute",),
        tr("Hear a muted contact again, with what was kept."),
        _unmute,
        _unmute_steps,
        where=Where.BOTH,
        usage=tr("ADDRESS"),
        here="",
        german=("laut",),
    ),
)
