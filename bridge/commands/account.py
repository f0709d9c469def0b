"""Commands about the user: register, leave, settings, an own address, a pause."""

from bridge.commands import account_own
from bridge.commands.asking import answered, are_you_sure, is_sure
from bridge.commands.model import (
    Choice,
    Command,
    Context,
    Field,
    Invalid,
    Kind,
    Refused,
    Reply,
    Step,
    Values,
    Where,
    Who,
)
from bridge.i18n import languages, tr, translate, trn
from bridge.options import (
    COALESCE,
    ELSEWHERE,
    PAUSED,
    QUOTES,
    QUOTING,
    SIGNATURE,
    STRANGER_POLICIES,
    STRANGERS,
)

LANGUAGE, NAME, ADDRESS = "language", "name", "address"
MOST_OFFERED = 100  # addresses in a form
LONGEST_NAME = 200  # characters
LONGEST_SIGNATURE = 1_000
_GERMAN = {
    "sprache": LANGUAGE, "fremde": STRANGERS, "sammeln": COALESCE, "zitat": QUOTING, "signatur": SIGNATURE,
    "anderswo": ELSEWHERE,
}  # fmt: skip
_LANGUAGE_NAMES = {"en": "English", "de": "Deutsch"}


# --- register and leave ---


async def _register_steps(context: Context, values: Values) -> Step | None:
    fields = [Field(NAME, tr("Your name, as others see it"), required=False, value=_name(context), rest=True)]
    if context.line is None and not context.services.wishes.gateway.may_use(context.jid):
        fields.insert(0, Field("code", tr("The code of your invitation"), required=False))
    fields += await _addresses(context)
    step = Step(tr("Register"), tuple(fields), tr("You get an address of your own here."))
    return None if answered(step, values) else step


async def _addresses(context: Context) -> list[Field]:
    """A choice of the user's own address, where there is one. In a line of text it is left to us."""
    wishes = context.services.wishes
    if not wishes.numbers.most(context.transport):
        return []
    free = await wishes.gateway.free_addresses(context.transport, context.jid)
    if len(free) < 2:
        return []
    choices = tuple(Choice(one, one) for one in free[:MOST_OFFERED])
    own = context.line.address if context.line is not None else ""
    return [Field(ADDRESS, tr("Your own address here"), Kind.CHOICE, False, own, choices)]


def _name(context: Context) -> str:
    return context.line.name if context.line is not None else ""


async def _register(context: Context, values: Values) -> Reply:
    before = context.line
    name = values.get(NAME, "") or _name(context)
    line = await context.services.wishes.gateway.register(
        context.transport,
        context.jid,
        name=name[:LONGEST_NAME],
        address=values.get(ADDRESS, ""),
        token=values.get("code", ""),
        language=context.language,
        welcome=True,
    )
    if before is not None:
        return Reply(tr("You are registered; your address here is {address}.", address=line.address))
    return Reply(
        tr("You are registered. Your address here is {address}.", address=line.address), registered=True
    )


async def _leave_steps(context: Context, values: Values) -> Step | None:
    if is_sure(values) or "sure" in values:
        return None
    line = context.user
    goes = await context.services.wishes.belongings(line)
    own = [one.address for one in await context.services.wishes.numbers.held(line)]
    text = tr(
        "This will be removed: your address {address}, {contacts}, {messages}. {unsent}It cannot be undone.",
        address=", ".join(own),
        contacts=trn("{number} contact", "{number} contacts", goes.contacts),
        messages=trn("{number} message", "{number} messages", goes.messages),
        unsent=trn(
            "{number} message that waits will not be sent. ",
            "{number} messages that wait will not be sent. ",
            goes.unsent,
        )
        if goes.unsent
        else "",
    )
    return are_you_sure(tr("Leave"), text)


async def _leave(context: Context, values: Values) -> Reply:
    if not is_sure(values):
        return Reply(tr("Nothing was changed."))
    contacts = await context.services.wishes.gateway.leave(context.transport, context.jid)
    return Reply(
        tr("You have left; what was kept of you here is removed. Good-bye!"),
        leaves=tuple(contact.local for contact in contacts),
    )


# --- settings ---


async def _settings_step(context: Context) -> Step:
    line = context.user
    transport = context.services.wishes.transport(context.transport)
    chosen = await context.services.wishes.chosen_language(context.jid)
    mail = transport.adapter.capabilities.subjects
    fields = [
        Field(NAME, tr("Your name, as others see it"), required=False, value=line.name),
        Field(
            LANGUAGE,
            tr("Language"),
            Kind.CHOICE,
            value=chosen or "auto",
            choices=(
                Choice("auto", tr("as I type")),
                *(Choice(tag, _LANGUAGE_NAMES.get(tag, tag)) for tag in languages()),
            ),
        ),
        Field(
            STRANGERS,
            tr("Who may write to me unasked"),
            Kind.CHOICE,
            value=line.choices.get(STRANGERS, transport.strangers),
            choices=tuple(map(Choice, STRANGER_POLICIES, _policies())),
        ),
    ]
    if mail:
        fields += [
            Field(
                COALESCE,
                tr("Seconds in which lines become one mail"),
                Kind.NUMBER,
                required=False,
                value=line.choices.get(COALESCE, ""),
                least=0,
                most=120,
            ),
            Field(
                QUOTING,
                tr("Quote the mail that I answer"),
                Kind.CHOICE,
                value=line.choices.get(QUOTING, "short"),
                choices=tuple(map(Choice, QUOTES, (tr("not"), tr("its beginning"), tr("all of it")))),
            ),
        ]
    if account_own.is_offered(context):
        shown = line.choices.get(ELSEWHERE, "line")
        about = (Choice("line", tr("as a line that says so")), Choice("off", tr("not at all")))
        label = tr("What I write in another mail program, where my chat server does not let it be mine")
        fields.append(Field(ELSEWHERE, label, Kind.CHOICE, value=shown, choices=about))
    signature = line.choices.get(SIGNATURE, "")
    fields.append(Field(SIGNATURE, tr("Text below each message"), Kind.LONG, required=False, value=signature))
    return Step(tr("Settings"), tuple(fields))


def _policies() -> tuple[str, str, str]:
    return tr("everybody"), tr("ask me first"), tr("my contacts only")


async def _settings_steps(context: Context, values: Values) -> Step | None:
    if values:
        return None
    return await _settings_step(context)


async def _settings_typed(context: Context, text: str) -> Values:
    """`settings`, or `settings quote off`."""
    step = await _settings_step(context)
    word, _, rest = text.strip().partition(" ")
    if not word:
        return {"": ""}
    name = _GERMAN.get(word.casefold(), word.casefold())
    wanted = next((one for one in step.fields if one.name == name), None)
    if wanted is None:
        names = ", ".join(_called(one.name, context.language) for one in step.fields)
        raise Invalid(tr("There is no setting “{name}”. There are: {names}.", name=word, names=names))
    nothing = ("off", "none", "aus", "keine") if word.casefold() in (SIGNATURE, "signatur") else ()
    if rest.strip().casefold() in ("default", "-", "standard", *nothing) and not wanted.required:
        return {wanted.name: ""}
    return {wanted.name: wanted.read(rest)}


def _called(name: str, language: str) -> str:
    """A setting's name as it is typed in this language."""
    german = next((word for word, meant in _GERMAN.items() if meant == name), name)
    return german if language == "de" else name


async def _settings(context: Context, values: Values) -> Reply:
    step = await _settings_step(context)
    if values == {"": ""}:
        shown = [
            f"{_called(one.name, context.language)}: {one.value or '–'} · "
            f"{translate(one.label, context.language)}"
            for one in step.fields
        ]
        example = _called(STRANGERS, context.language)
        hint = tr("Change one like this: settings {name} {value}", name=example, value="ask")
        return Reply("\n".join((*shown, translate(hint, context.language))))
    wishes = context.services.wishes
    language = ""
    for one in step.fields:
        if one.name not in values or values[one.name] == one.value:
            continue
        value = values[one.name]
        if one.name == NAME:
            await wishes.gateway.register(context.transport, context.jid, name=value[:LONGEST_NAME])
        elif one.name == LANGUAGE:
            await wishes.choose_language(context.jid, "" if value == "auto" else value)
            language = "" if value == "auto" else value
        else:
            await wishes.choose(context.transport, context.jid, one.name, value[:LONGEST_SIGNATURE])
    return Reply(tr("Saved."), language=language)


# --- an address of one's own, and a pause ---


async def _verify_steps(context: Context, values: Values) -> Step | None:
    line = context.user
    if "what" not in values:
        text = tr("Write the address that is yours; a code goes there. Then write the code.")
        return Step(tr("Own address"), (Field("what", tr("Address, or code"), rest=True),), text, last=False)
    if _is_code(values["what"]) or "code" in values:
        return None
    address = await context.services.wishes.ask_proof(line, values["what"])
    text = tr("A code is on its way to {address}.", address=address)
    return Step(tr("Own address"), (Field("code", tr("The code")),), text)


def _is_code(text: str) -> bool:
    digits = "".join(text.split())
    return digits.isdigit() and len(digits) == 6


async def _verify(context: Context, values: Values) -> Reply:
    code = values.get("code") or values["what"]
    line = await context.services.wishes.prove(context.user, code)
    return Reply(tr("Proven: your address here is {address} from now on.", address=line.address))


async def _pause(context: Context, values: Values) -> Reply:
    if context.user.choices.get(PAUSED):
        raise Refused(tr("It is paused already. Type resume to go on."))
    await context.services.wishes.choose(context.transport, context.jid, PAUSED, "1")
    return Reply(tr("Paused: what comes is kept, and shown when you type resume."))


async def _resume(context: Context, values: Values) -> Reply:
    await context.services.wishes.choose(context.transport, context.jid, PAUSED, "")
    return Reply(tr("On again; what came meanwhile follows."))


REGISTER = Command(
    ("register", "join", "signup"),
    tr("Get an address here, or change your name."),
    _register,
    _register_steps,
    Who.ANYBODY,
    german=("registrieren", "anmelden"),
)
COMMANDS = (
    REGISTER,
    Command(
        ("leave", "unregister", "quit"),
        tr("Remove your registration and all that is kept of you."),
        _leave,
        _leave_steps,
        german=("abmelden", "verlassen"),
        exact=True,
    ),
    Command(
        ("settings", "set", "config", "options"),
        tr("Your language, quotes, signature, and who may write to you."),
        _settings,
        _settings_steps,
        usage=tr("[NAME VALUE]"),
        german=("einstellungen", "einstellung"),
        typed=_settings_typed,
    ),
    Command(
        ("verify", "prove"),
        tr("Bring an address of your own, proven by a code."),
        _verify,
        _verify_steps,
        usage=tr("ADDRESS | CODE"),
        german=("bestätigen",),
        available=lambda context: context.services.wishes.transport(context.transport).proven_addresses,
    ),
    Command(("pause",), tr("Keep what comes until you type resume."), _pause, where=Where.GATEWAY),
    Command(
        ("resume", "continue"), tr("Show again what comes, and what was kept."), _resume, german=("weiter",)
    ),
)
