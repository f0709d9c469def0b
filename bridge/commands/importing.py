"""The command that brings an address book in: from a vCard file, or over CardDAV; asked before it counts."""

from urllib.parse import urlsplit

from bridge.carddav import Login
from bridge.commands.model import (
    Choice,
    Command,
    Context,
    Field,
    Invalid,
    Kind,
    Partial,
    Refused,
    Reply,
    Step,
    Values,
)
from bridge.i18n import tr, trn
from bridge.importing import Counted, Importing, told_of

PLACE, USERNAME, PASSWORD, ANSWER = "place", "username", "password", "answer"
TAKE, ALL, LEAVE, FORGET = "yes", "all", "no", "forget"
_ENDINGS = (".vcf", ".vcard")
_OTHERS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic", ".mp4", ".m4a", ".ogg", ".opus", ".pdf", ".zip",
           ".doc", ".docx", ".odt", ".txt", ".csv")  # fmt: skip
_WORDS = {
    **dict.fromkeys((TAKE, "ja", "y", "j"), TAKE),
    **dict.fromkeys((ALL, "alle"), ALL),
    **dict.fromkeys((LEAVE, "nein", "n", "cancel", "abbrechen"), LEAVE),
    **dict.fromkeys((FORGET, "vergiss", "vergessen"), FORGET),
}


def is_file(place: str) -> bool:
    """Whether it is the link of a file rather than an address book on a server. Raises Refused for a file
    that is none."""
    if not place.startswith(("https://", "http://")):
        return False
    name = urlsplit(place).path.rpartition("/")[2].lower()
    if name.endswith(_OTHERS):
        raise Refused(tr("Only an address book (.vcf) can be shared here. Share a file in somebody's chat."))
    return name.endswith(_ENDINGS)


def _importing(context: Context) -> Importing:
    if context.services.importing is None:
        raise Refused(tr("Address books cannot be imported here."))
    return context.services.importing


async def _typed(context: Context, text: str) -> Values:
    """`import`, `import LINK`, `import yes`, or `import PLACE USER PASSWORD`."""
    words = text.split()
    if len(words) == 1 and (answer := _WORDS.get(words[0].casefold())) is not None:
        return {ANSWER: answer}
    # Some providers write app passwords in groups, with spaces between.
    return Partial(zip((PLACE, USERNAME, PASSWORD), text.split(maxsplit=2), strict=False))


async def _steps(context: Context, values: Values) -> Step | None:
    importing = _importing(context)
    line = context.user
    if ANSWER in values:
        return None
    if PLACE not in values:
        waiting = importing.counted(line.jid)
        return _choice(waiting) if waiting is not None else await _place(context)
    if is_file(values[PLACE]):
        counted = importing.counted(line.jid)
        if counted is None or counted.source != values[PLACE]:
            counted = await importing.count_file(line, values[PLACE])
        return _choice(counted)
    if not values[PLACE] or PASSWORD in values:
        return None
    if not any(sign in values[PLACE] for sign in ".@:"):
        raise Invalid(tr("“{text}” is no address of a file or of an address book.", text=values[PLACE]))
    username = values.get(USERNAME) or (values[PLACE] if "@" in values[PLACE] else "")
    return Step(
        tr("Address book"),
        (
            Field(USERNAME, tr("User name there"), value=username),
            Field(PASSWORD, tr("Password, or an app password if your provider wants one"), Kind.SECRET),
        ),
        tr("It is read, never written. The password is kept encrypted, until you type: import forget"),
    )


async def _place(context: Context) -> Step:
    known = await _importing(context).known_book(context.user)
    told = (
        tr(
            "Share a vCard file (.vcf) here, or write where your address book is: a web address, or your "
            "mail address there (CardDAV). To read {place} again, write its address.",
            place=known.place,
        )
        if known is not None
        else tr(
            "Share a vCard file (.vcf) here, or write where your address book is: a web address, or your "
            "mail address there (CardDAV)."
        )
    )
    field = Field(PLACE, tr("Address of the file or book"), value=known.place if known is not None else "")
    return Step(tr("Import contacts"), (field,), told, last=False)


def _choice(counted: Counted) -> Step:
    choices = (
        Choice(TAKE, tr("import them")),
        Choice(ALL, tr("import them, into my contact list too")),
        Choice(LEAVE, tr("leave it")),
    )
    field = Field(ANSWER, tr("Import them"), Kind.CHOICE, choices=choices)
    return Step(tr("Import contacts"), (field,), told_of(counted))


async def _run(context: Context, values: Values) -> Reply:
    importing = _importing(context)
    line = context.user
    match values.get(ANSWER):
        case "forget":
            await importing.forget_book(line)
            return Reply(tr("The address book and its password are forgotten. Your contacts stay."))
        case "no":
            importing.drop(line.jid)
            return Reply(tr("Nothing was imported."))
        case str(answer):
            counted = importing.counted(line.jid)
            importing.start(line, context.language, everybody=answer == ALL)
            number = counted.people if counted is not None else 0
            return Reply(
                trn("Importing {number} address; I tell you when it is done.",
                    "Importing {number} addresses; I tell you when it is done.", number)
            )  # fmt: skip
    login = Login(values[PLACE], values.get(USERNAME, ""), values.get(PASSWORD, ""))
    known = await importing.known_book(line)
    if not login.password and known is not None and known.place == login.place:
        login = known
    importing.read_book(line, login, context.language)
    return Reply(tr("Reading the address book; I tell you what is in it."))


def _has_password(text: str) -> bool:
    return len(text.split()) > 2


COMMANDS = (
    Command(
        ("import",),
        tr("Bring your address book: a vCard file that you share here, or CardDAV."),
        _run,
        _steps,
        usage=tr("[LINK | ADDRESS | yes | all | no | forget]"),
        german=("importieren", "importiere"),
        available=lambda context: context.services.importing is not None,
        typed=_typed,
        has_secret=_has_password,
    ),
)
