"""Commands about all that a user has here: export, and move to another chat address."""

from bridge.commands.asking import are_you_sure, is_sure
from bridge.commands.model import Command, Context, Field, Kind, Refused, Reply, Step, Values, Who
from bridge.estate import Estate
from bridge.i18n import tr, translate, trn

_WHERE = Field("where", tr("Your new chat address, or the code that was sent there"), rest=True)


def _estate(context: Context) -> Estate:
    if context.services.estate is None:
        raise Refused(tr("This cannot be done here."))
    return context.services.estate


# --- export ---


async def _export(context: Context, values: Values) -> Reply:
    estate = _estate(context)
    file = await estate.export(context.user)
    url = await estate.address_of(file)
    told = tr("All that is kept of you here: your settings, contacts and messages. It can be had for a day.")
    if url:
        return Reply(f"{translate(told, context.language)}\n{url}")
    return Reply(told, gives=file)


# --- move ---


def _is_code(text: str) -> bool:
    digits = "".join(text.split())
    return digits.isascii() and digits.isdigit() and len(digits) == 6


async def _move_steps(context: Context, values: Values) -> Step | None:
    if "where" not in values:
        text = tr("Everything moves: your addresses, contacts and messages, on every transport.")
        return Step(tr("Move"), (_WHERE,), text, last=False)
    if _is_code(values["where"]) or "sure" in values:
        return None
    line = context.user
    goes = await context.services.wishes.belongings(line)
    text = tr(
        "{address}, {contacts} and {messages} move to {who}; here you are no longer registered then.",
        address=line.address,
        contacts=trn("{number} contact", "{number} contacts", goes.contacts),
        messages=trn("{number} message", "{number} messages", goes.messages),
        who=_jid(values["where"]),
    )
    return are_you_sure(tr("Move"), text)


def _jid(text: str) -> str:
    return Field("where", tr("Your new chat address"), Kind.JID).read(text)


async def _move(context: Context, values: Values) -> Reply:
    estate = _estate(context)
    if _is_code(values["where"]):
        moved = await estate.finish_move(context.jid, "".join(values["where"].split()))
        addresses = ", ".join(line.address for line in moved.lines)
        return Reply(
            tr("Welcome here! What {old} had is yours now: {addresses}.", old=moved.old, addresses=addresses)
        )
    if not is_sure(values):
        return Reply(tr("Nothing was changed."))
    new = _jid(values["where"])
    code = await estate.ask_to_move(context.user.jid, new)
    await context.services.office.write_to(
        context.transport,
        new,
        tr(
            "{old} wishes to go on here, with all contacts and messages. If that is you, type: move {code}. "
            "If not, do nothing.",
            old=context.jid,
            code=code,
        ),
    )
    return Reply(tr("I have written to {who}. Type there what I say, within an hour.", who=new))


def _moves(context: Context) -> bool:
    return context.services.estate is not None


def _gives(context: Context) -> bool:
    return context.services.estate is not None and context.services.estate.gives_files


MOVE = Command(
    ("move",),
    tr("Go on under another chat address, with all you have."),
    _move,
    _move_steps,
    Who.ANYBODY,
    usage=tr("NEW@ADDRESS | CODE"),
    german=("umziehen",),
    available=_moves,
    exact=True,
)
COMMANDS = (
    Command(
        ("export",),
        tr("All that is kept of you here, as a file."),
        _export,
        german=("exportieren",),
        available=_gives,
    ),
    MOVE,
)
