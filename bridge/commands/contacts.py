"""Commands about people: add, contacts, strangers, accept, block, mute."""

from bridge.commands.asking import answered, one_form
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
from bridge.i18n import tr, translate, trn
from bridge.model import Line
from bridge.policy import ALLOWED, BLOCKED
from bridge.ports import BadAddress
from bridge.store.desk import Known
from bridge.store.strangers import Stranger, announcement

_MOST_LISTED = 100

_WHO = Field("who", tr("Numbers or addresses, or all"), rest=True)


def canonical(context: Context, text: str) -> str:
    """A typed address in its transport's form. Raises Refused with what is wrong."""
    try:
        return context.services.wishes.transport(context.transport).adapter.canonical(text.strip()).canonical
    except BadAddress as error:
        raise Refused(str(error)) from error


# --- add and list ---


_ADD = Step(
    tr("Add a contact"),
    (
        Field("address", tr("Address"), Kind.ADDRESS),
        Field("name", tr("Name"), required=False, rest=True),
    ),
)


async def _add(context: Context, values: Values) -> Reply:
    line = context.user
    address = canonical(context, values["address"])
    contact = await context.services.wishes.add(
        context.transport, context.jid, address, values.get("name", "")[:200]
    )
    jid = f"{contact.local}@{context.services.wishes.transport(context.transport).jid}"
    return Reply(
        tr(
            "{address} is a contact now: {jid}. You write from {own}.",
            address=address,
            jid=jid,
            own=line.address,
        ),
        introduces=(contact.local,),
    )


async def _contacts(context: Context, values: Values) -> Reply:
    known = await context.services.wishes.contacts(context.transport, context.user.jid)
    if not known:
        return Reply(tr("You have no contacts yet. Type an address and your first line to begin."))
    rows = [_row(context, one) for one in known]
    texts = [" · ".join(part for part in row if part) for row in rows[:_MOST_LISTED]]
    if len(rows) > _MOST_LISTED:
        texts.append(f"+{len(rows) - _MOST_LISTED}")
    columns = (
        ("address", translate(tr("Address"), context.language)),
        ("name", translate(tr("Name"), context.language)),
        ("standing", translate(tr("State"), context.language)),
    )
    return Reply("\n".join(texts), table=Table(columns, tuple(rows)))


def _row(context: Context, one: Known) -> tuple[str, str, str]:
    states = [
        tr("blocked") if one.standing == BLOCKED else "",
        tr("muted") if one.is_muted(context.services.wishes.chats.now()) else "",
        tr("not let in") if one.standing not in (ALLOWED, BLOCKED) else "",
    ]
    told = ", ".join(translate(state, context.language) for state in states if state)
    return one.contact.original, one.contact.name, told


# --- strangers ---


async def _strangers(context: Context, values: Values) -> Reply:
    waiting = await context.services.wishes.strangers(context.user)
    if not waiting:
        return Reply(tr("Nobody waits to be let in."))
    return Reply(announcement(waiting, context.language))


async def _accept_steps(context: Context, values: Values) -> Step | None:
    if not values and not await context.services.wishes.strangers(context.user):
        raise Refused(tr("Nobody waits to be let in."))
    return await _who_step(context, values, tr("Let in"))


async def _block_steps(context: Context, values: Values) -> Step | None:
    if context.local:
        return None
    return await _who_step(context, values, tr("Block"))


async def _who_step(context: Context, values: Values, title: str) -> Step | None:
    if "who" in values:
        return None
    waiting = await context.services.wishes.strangers(context.user)
    return Step(title, (_WHO,), announcement(waiting, context.language) if waiting else "")


async def _accept(context: Context, values: Values) -> Reply:
    line = context.user
    waiting = await context.services.wishes.strangers(line)
    meant, rest = _meant(waiting, values["who"])
    if rest:
        known = await context.services.wishes.contact(context.transport, line.jid, canonical(context, rest))
        if known is None:
            raise Refused(tr("Nobody called {who} waits to be let in.", who=rest))
        await context.services.wishes.block(line, known.contact.address, blocked=False)
        await context.services.wishes.decide(line, [known.contact.id], accept=True)
        return Reply(
            tr("{who} may write to you.", who=known.contact.original), introduces=(known.contact.local,)
        )
    if not meant:
        return Reply(tr("Nobody waits to be let in."))
    await context.services.wishes.decide(line, [one.contact_id for one in meant], accept=True)
    count = sum(one.messages for one in meant)
    return Reply(
        tr(
            "{who} may write to you; {messages} coming.",
            who=", ".join(one.address for one in meant),
            messages=trn("{number} message is", "{number} messages are", count),
        ),
        introduces=tuple(await _locals(context, line, meant)),
    )


async def _locals(context: Context, line: Line, meant: list[Stranger]) -> list[str]:
    """The nodes that these contacts have in their JIDs."""
    wanted = {one.contact_id for one in meant}
    known = await context.services.wishes.contacts(context.transport, line.jid)
    return [one.contact.local for one in known if one.contact.id in wanted]


async def _block(context: Context, values: Values) -> Reply:
    line = context.user
    if context.local:
        await context.services.wishes.block(line, context.address, blocked=True)
        return Reply(tr("{who} is blocked. /unblock takes it back.", who=context.address))
    waiting = await context.services.wishes.strangers(line)
    meant, rest = _meant(waiting, values["who"])
    if rest:
        address = canonical(context, rest)
        await context.services.wishes.block(line, address, blocked=True)
        return Reply(tr("{who} is blocked. Type unblock {who} to take it back.", who=address))
    if not meant:
        return Reply(tr("Nobody waits to be let in."))
    await context.services.wishes.decide(line, [one.contact_id for one in meant], accept=False)
    return Reply(tr("Blocked: {who}.", who=", ".join(one.address for one in meant)))


def _meant(waiting: list[Stranger], text: str) -> tuple[list[Stranger], str]:
    """Who of those that wait is meant: by numbers, by `all` or `rest`; or the text is an address."""
    words = text.replace(",", " ").split()
    if [word.casefold() for word in words] in (["all"], ["rest"], ["alle"], ["übrige"]):
        return waiting, ""
    if all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
        by_number = {one.number: one for one in waiting}
        numbers = [int(word) for word in words]
        unknown = [number for number in numbers if number not in by_number]
        if unknown:
            raise Refused(
                tr("There is no number {number}. Type strangers to see who waits.", number=unknown[0])
            )
        return [by_number[number] for number in numbers], ""
    by_address = [one for one in waiting if one.address.casefold() == text.strip().casefold()]
    return (by_address, "") if by_address else ([], text.strip())


_UNBLOCK = Step(tr("Unblock"), (Field("who", tr("Address"), Kind.ADDRESS),))


async def _unblock_steps(context: Context, values: Values) -> Step | None:
    return None if context.local or answered(_UNBLOCK, values) else _UNBLOCK


async def _unblock(context: Context, values: Values) -> Reply:
    address = context.address if context.local else canonical(context, values["who"])
    known = await context.services.wishes.contact(context.transport, context.user.jid, address)
    if known is None or known.standing != BLOCKED:
        raise Refused(tr("{who} is not blocked.", who=address))
    await context.services.wishes.decide(context.user, [known.contact.id], accept=True)
    return Reply(tr("{who} may write to you again.", who=address))


COMMANDS = (
    Command(
        ("add", "new"),
        tr("Add a contact by address."),
        _add,
        one_form(_ADD),
        usage=tr("ADDRESS [NAME]"),
        german=("hinzufügen", "neu"),
    ),
    Command(
        ("contacts", "list", "people"), tr("Who you know here."), _contacts, german=("kontakte", "liste")
    ),
    Command(
        ("strangers", "requests"), tr("Who waits to be let in."), _strangers, german=("fremde", "anfragen")
    ),
    Command(
        ("accept", "allow"),
        tr("Let a stranger in, with what they wrote."),
        _accept,
        _accept_steps,
        usage=tr("NUMBER… | all"),
        german=("annehmen", "erlauben"),
    ),
    Command(
        ("block",),
        tr("Refuse a sender."),
        _block,
        _block_steps,
        where=Where.BOTH,
        usage=tr("NUMBER… | rest | ADDRESS"),
        here="",
        german=("blockieren", "sperren"),
        exact=True,
    ),
    Command(
        ("unblock",),
        tr("Let a blocked sender write again."),
        _unblock,
        _unblock_steps,
        where=Where.BOTH,
        usage=tr("ADDRESS"),
        here="",
        german=("entsperren",),
    ),
)
