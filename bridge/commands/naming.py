"""Commands about what a user calls a contact and notes about them. Nobody else ever sees either."""

from bridge.commands.contacts import canonical
from bridge.commands.model import Command, Context, Field, Kind, Refused, Reply, Step, Values, Where
from bridge.i18n import tr
from bridge.store.cards import Profile

_WHO = Field("who", tr("Address"), Kind.ADDRESS)
_NAME = Field("name", tr("Name"), rest=True)
_NOTE = Field("note", tr("Note"), required=False, rest=True)


async def _profile(context: Context, values: Values) -> Profile:
    """Whose chat it is, or who is named. Raises Refused for who is no contact."""
    address = context.address if context.local else canonical(context, values["who"])
    known = await context.services.wishes.cards.profile(context.transport, context.user.jid, address)
    if known is None:
        raise Refused(tr("You have no contact {who}. Type: add {who}", who=address))
    return known


async def _asked(context: Context, values: Values, title: str, last: Field) -> Step | None:
    """At the gateway who it is about comes first; in the contact's chat that is plain."""
    if not context.local and "who" not in values:
        return Step(title, (_WHO, last))
    return None if last.name in values else Step(title, (last,))


# --- rename ---


async def _rename_steps(context: Context, values: Values) -> Step | None:
    return await _asked(context, values, tr("Rename"), _NAME)


async def _rename(context: Context, values: Values) -> Reply:
    profile = await _profile(context, values)
    name = "" if values["name"].strip() == "-" else values["name"].strip()
    await context.services.wishes.cards.rename(context.user, profile.contact, name)
    if not name:
        shown = profile.said or profile.contact.original
        return Reply(tr("Your name for them is gone; they are shown as {name} now.", name=shown))
    return Reply(tr("{who} is {name} now, for you alone.", who=profile.contact.original, name=name))


# --- note ---


async def _note_steps(context: Context, values: Values) -> Step | None:
    return await _asked(context, values, tr("Note"), _NOTE)


async def _note(context: Context, values: Values) -> Reply:
    profile = await _profile(context, values)
    note = values.get("note", "").strip()
    if not note:
        if not profile.note:
            return Reply(tr("You have no note about {who}.", who=profile.contact.original))
        return Reply(tr("Your note about {who}: {note}", who=profile.contact.original, note=profile.note))
    await context.services.wishes.cards.annotate(profile.contact, "" if note == "-" else note)
    if note == "-":
        return Reply(tr("Your note about {who} is gone.", who=profile.contact.original))
    return Reply(tr("Noted, for you alone."))


COMMANDS = (
    Command(
        ("rename", "name", "call"),
        tr("Give a contact a name of your own; - takes it back."),
        _rename,
        _rename_steps,
        where=Where.BOTH,
        usage=tr("ADDRESS NAME"),
        here=tr("NAME"),
        german=("umbenennen", "nenne"),
    ),
    Command(
        ("note", "notes"),
        tr("Read or write your own note about a contact; - removes it."),
        _note,
        _note_steps,
        where=Where.BOTH,
        usage=tr("ADDRESS [TEXT]"),
        here=tr("[TEXT]"),
        german=("notiz",),
    ),
)
