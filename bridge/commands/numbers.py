"""Commands about a user's own numbers, where there may be several: list, take one more, choose which new
chats go from, give one back; and in a chat, which of them it goes on from."""

from bridge.commands.model import Choice, Command, Context, Field, Kind, Refused, Reply, Step, Values, Where
from bridge.i18n import tr, translate, trn

SHOW, ADD, FIRST, DROP = "show", "add", "default", "drop"
_MOST_OFFERED = 100  # in a form
_WORDS = {
    ADD: ADD, "new": ADD, "neu": ADD, "dazu": ADD,
    FIRST: FIRST, "use": FIRST, "main": FIRST, "standard": FIRST,
    DROP: DROP, "remove": DROP, "delete": DROP, "weg": DROP, "zurück": DROP,
}  # fmt: skip


async def _typed(context: Context, text: str) -> Values:
    """`numbers`, or `numbers add +1555…`."""
    word, _, rest = text.strip().partition(" ")
    if not word:
        return {"what": SHOW}
    what = _WORDS.get(word.casefold())
    if what is None:
        raise Refused(tr("Write it like this: numbers add, numbers default +1555…, numbers drop +1555…"))
    if what != ADD and not rest.strip():
        raise Refused(tr("Say which number: numbers {what} +1555…", what=what))
    return {"what": what, "number": rest.strip()}


async def _steps(context: Context, values: Values) -> Step | None:
    """Forms: what to do, then with which number."""
    numbers = context.services.wishes.numbers
    line = context.user
    if "what" not in values:
        held = [one.address for one in await numbers.held(line)]
        choices = [Choice(SHOW, tr("show them"))]
        if len(held) < numbers.most(context.transport) and await numbers.free(line):
            choices.append(Choice(ADD, tr("take one more")))
        if len(held) > 1:
            choices.append(Choice(FIRST, tr("choose which new chats go from")))
            choices.append(Choice(DROP, tr("give one back")))
        what = Field("what", tr("What to do"), Kind.CHOICE, value=SHOW, choices=tuple(choices))
        return Step(tr("Your numbers"), (what,), await _listed(context), last=False)
    if values["what"] == SHOW or "number" in values:
        return None
    offered = (
        await numbers.free(line)
        if values["what"] == ADD
        else [one.address for one in await numbers.held(line)]
    )
    choices = [Choice(one, one) for one in offered[:_MOST_OFFERED]]
    first = offered[0] if offered and values["what"] == ADD else ""
    number = Field("number", tr("Number"), Kind.CHOICE, value=first, choices=tuple(choices))
    return Step(tr("Your numbers"), (number,))


async def _run(context: Context, values: Values) -> Reply:
    numbers, line = context.services.wishes.numbers, context.user
    number = values.get("number", "")
    match values.get("what", SHOW):
        case "add":
            taken = await numbers.add(line, number)
            return Reply(
                tr(
                    "{number} is yours too. New chats go from {own}; type numbers default {number} to change "
                    "that, or /from {number} in a chat.",
                    number=taken,
                    own=line.address,
                )
            )
        case "default":
            chosen = await numbers.put_first(line, number)
            return Reply(
                tr("New chats go from {number} from now on; the others go on as they went.", number=chosen)
            )
        case "drop":
            gone = await numbers.give_back(line, number)
            return Reply(
                tr("{number} is no longer yours; what comes for it does not reach you.", number=gone)
            )
    return Reply(await _listed(context))


async def _listed(context: Context) -> str:
    numbers, line, language = context.services.wishes.numbers, context.user, context.language
    held = await numbers.held(line)
    lines = []
    for place, one in enumerate(held, 1):
        marks = [tr("new chats go from it")] if one.first and len(held) > 1 else []
        marks += [tr("shared with others")] if one.shared else []
        said = ", ".join(translate(mark, language) for mark in marks)
        lines.append(f"{place}. {one.address}" + (f" ({said})" if said else ""))
    more = numbers.most(context.transport) - len(held)
    if more > 0 and await numbers.free(line):
        hint = trn(
            "You may have {number} more: numbers add.", "You may have {number} more: numbers add.", more
        )
        lines.append(translate(hint, language))
    return "\n".join(lines)


# --- in a chat ---


async def _from_typed(context: Context, text: str) -> Values:
    return {"number": text.strip()}


async def _from(context: Context, values: Values) -> Reply:
    numbers, line = context.services.wishes.numbers, context.user
    if values["number"]:
        chosen = await numbers.choose_for(line, context.local, values["number"])
        return Reply(tr("This chat goes on from {number}.", number=chosen))
    usual = await numbers.usual(line, context.local)
    others = [one.address for one in await numbers.held(line) if one.address != usual]
    if not others:
        return Reply(tr("This chat goes from {number}, your only number.", number=usual))
    return Reply(
        tr(
            "This chat goes from {number}. Change it like this: /from {other}",
            number=usual,
            other=others[0],
        )
    )


def _chosen_here(context: Context) -> bool:
    return context.services.wishes.numbers.most(context.transport) > 0


COMMANDS = (
    Command(
        ("numbers", "number"),
        tr("Your own numbers: show them, take one more, give one back."),
        _run,
        _steps,
        usage=tr("[add | default | drop] [NUMBER]"),
        german=("nummern", "nummer"),
        available=_chosen_here,
        typed=_typed,
    ),
    Command(
        ("from",),
        tr("Which of your numbers this chat goes from."),
        _from,
        where=Where.CHAT,
        usage=tr("[NUMBER]"),
        german=("von",),
        available=_chosen_here,
        typed=_from_typed,
    ),
)
