"""All commands in one place: which there are for whom, what was meant by a word, and what help says."""

import difflib
from collections.abc import Iterable

from bridge.commands import (
    account,
    account_own,
    admin,
    chat,
    chats,
    contacts,
    estate,
    importing,
    messages,
    naming,
    numbers,
)
from bridge.commands.model import Command, Context, Reply, Step, Values, Where, Who
from bridge.i18n import tr, translate

CLOSE = 0.72  # how like a name a misspelled word must be
_LONGEST_WORD = 40  # characters: what is longer is no slip of the finger, and comparing it takes long


async def _help_steps(context: Context, values: Values) -> Step | None:
    return None


async def _help_typed(context: Context, text: str) -> Values:
    return {"command": text.strip().lstrip("/")}


async def _help(context: Context, values: Values) -> Reply:
    where = Where.CHAT if context.local else Where.GATEWAY
    slash = "/" if context.local else ""
    wanted = values.get("command", "")
    if wanted and (command := named(context, wanted, where)) is not None:
        return Reply(_line(command, slash, context.language))
    lines = [_line(one, slash, context.language) for one in offered(context) if one.is_typed(where)]
    first = (
        tr("In this chat a line that begins with a slash is a command and is never sent; // sends a slash.")
        if context.local
        else tr("Type an address and a first line to write to somebody, or one of these:")
    )
    return Reply("\n".join((translate(first, context.language), *lines)))


def _line(command: Command, slash: str, language: str) -> str:
    usage = translate(command.follows(bool(slash)), language)
    name = f"{slash}{command.called(language)} {usage}".rstrip()
    return f"{name} – {translate(command.summary, language)}"


HELP = Command(
    ("help", "?", "commands"),
    tr("What can be done here."),
    _help,
    _help_steps,
    Who.ANYBODY,
    Where.BOTH,
    usage=tr("[COMMAND]"),
    german=("hilfe", "befehle"),
    typed=_help_typed,
)

TREE: tuple[Command, ...] = (
    HELP,
    *account.COMMANDS,
    *account_own.COMMANDS,
    *estate.COMMANDS,
    *numbers.COMMANDS,
    *contacts.COMMANDS,
    *chats.COMMANDS,
    *messages.COMMANDS,
    *naming.COMMANDS,
    *importing.COMMANDS,
    *chat.COMMANDS,
    *admin.COMMANDS,
)


def may(context: Context, command: Command) -> bool:
    """Whether who asks may run it, here and now."""
    if command.who is Who.ADMIN and not context.services.office.is_admin(context.jid):
        return False
    if command.who is Who.USER and context.line is None:
        return False
    return command.available(context)


def offered(context: Context) -> list[Command]:
    return [one for one in TREE if may(context, one)]


def named(context: Context, word: str, where: Where) -> Command | None:
    """The command of exactly this name. Commands for admins do not exist for others."""
    wanted = word.casefold()
    for one in TREE:
        if one.is_typed(where) and wanted in one.every_name() and _exists(context, one):
            return one
    return None


def at_node(context: Context, node: str) -> Command | None:
    """The command with this ad-hoc node, if it exists for who asks."""
    return next((one for one in TREE if one.ad_hoc_node == node and _exists(context, one)), None)


def _exists(context: Context, command: Command) -> bool:
    if command.who is Who.ADMIN:
        return context.services.office.is_admin(context.jid)
    return command.available(context)


def nearest(context: Context, word: str, where: Where) -> tuple[Command, str] | None:
    """The command whose name is most like a misspelled word, and that name."""
    if len(word) > _LONGEST_WORD:
        return None
    names = {
        name: one for one in offered_to(context, where) for name in one.every_name() if name[:1].isalpha()
    }
    typed = word.casefold()
    # Two letters in the wrong order are little alike to difflib when there are only three of them.
    swapped = [name for name in names if len(name) > 2 and sorted(name) == sorted(typed)]
    found = swapped or difflib.get_close_matches(typed, names, n=1, cutoff=CLOSE)
    return (names[found[0]], found[0]) if found else None


def offered_to(context: Context, where: Where) -> Iterable[Command]:
    return (one for one in TREE if one.is_typed(where) and _exists(context, one))
