"""What a command is, for every front end alike: names, who may, what it asks for, what it answers.

A command asks step by step: `steps` tells from the values so far which form comes next, or that nothing
is missing. Front ends show forms and read answers; checking them is the fields' own, so that all ways in
have the same words and the same checks.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bridge.i18n import Phrase, filled, languages, tr, translate
from bridge.model import Attachment, Line

if TYPE_CHECKING:
    from bridge.commands.services import Services

LONGEST_VALUE = 4_000  # characters


class Kind(StrEnum):
    """What a field holds, and how forms show it."""

    TEXT = "text"
    LONG = "long"  # several lines
    BOOL = "bool"
    CHOICE = "choice"
    NUMBER = "number"
    JID = "jid"
    SECRET = "secret"  # shown to nobody, kept nowhere
    JIDS = "jids"  # several, as lines
    ADDRESS = "address"  # on the transport


class Who(StrEnum):
    """Who may see and run a command."""

    ANYBODY = "anybody"
    USER = "user"  # registered with this transport
    ADMIN = "admin"


class Where(StrEnum):
    """Where a command is typed."""

    GATEWAY = "gateway"  # to the gateway's own JID
    CHAT = "chat"  # with a slash, in a contact's chat
    BOTH = "both"


class Invalid(ValueError):
    """A value that cannot be used. The message says what to write instead."""


class Refused(Exception):
    """A command cannot do what was asked. The message says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, where, and with what at hand."""

    services: "Services"
    transport: str
    jid: str  # bare JID of who asks
    full: str
    language: str
    line: Line | None  # None: not registered
    local: str = ""  # node of the contact's JID; empty at the gateway
    address: str = ""  # the contact's canonical address, if `local` is one
    stanza_id: str = ""  # of the line that was typed; empty for forms
    reply_to: str = ""  # the stanza that it answers
    wants_receipt: bool = False

    @property
    def user(self) -> Line:
        """The line of who asks. Raises Refused for who has none."""
        if self.line is None:
            raise Refused(tr("You are not registered here yet. Type register to begin."))
        return self.line


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a form asks for."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    required: bool = True
    value: str = ""  # what stands there at first
    choices: tuple[Choice, ...] = ()
    least: int | None = None  # for numbers
    most: int | None = None
    rest: bool = False  # typed as text: takes all that is left of the line

    def read(self, text: str) -> str:
        """The value in its own form. Raises Invalid."""
        text = text.strip() if self.kind is not Kind.LONG else text.strip("\n")
        if len(text) > LONGEST_VALUE:
            raise Invalid(tr("“{label}” is too long.", label=self.label))
        if not text:
            if self.required:
                raise Invalid(tr("“{label}” is missing.", label=self.label))
            return ""
        return _READERS.get(self.kind, _as_it_is)(self, text)


@dataclass(frozen=True, slots=True)
class Step:
    """One form."""

    title: str
    fields: tuple[Field, ...]
    text: str = ""  # what to know before filling it in
    last: bool = True  # whether the command can be carried out after it


Values = Mapping[str, str]


class Partial(dict[str, str]):
    """Values that a typed line gave, and that do not suffice: the steps ask for the rest."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a command found, for front ends that can show tables. Text ones show `Reply.text` alone."""

    columns: tuple[tuple[str, str], ...]  # names and labels
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One value of a result form, where a specification asks for it (XEP-0133)."""

    name: str
    label: str
    values: tuple[str, ...]
    kind: str = "text-multi"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answers."""

    text: str
    warn: bool = False
    table: Table | None = None
    shown: tuple[Shown, ...] = ()
    introduces: tuple[str, ...] = ()  # nodes of contacts that now wish to be in the roster
    leaves: tuple[str, ...] | None = None  # the user has left: nodes of the contacts they had
    registered: bool = False  # the user has just been registered
    gives: Attachment | None = None  # a file that belongs to the answer
    sent: bool = False  # a message went out under the id of what was typed
    carries: Mapping[str, str] = field(default_factory=dict)  # options for the next line in this chat
    language: str = ""  # the answer's, where the command has just changed it


Run = Callable[[Context, Values], Awaitable[Reply]]
Steps = Callable[[Context, Values], Awaitable[Step | None]]


# What was typed as values; None leaves it to the fields, word by word.
Typed = Callable[[Context, str], Awaitable[Values | None]]


async def no_steps(_context: Context, _values: Values) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `names` are typed; the first is its own. `german` are its names in German: who types
    one of those, or of these, is taken to speak that language."""

    names: tuple[str, ...]
    summary: Phrase
    run: Run
    steps: Steps = no_steps
    who: Who = Who.USER
    where: Where = Where.GATEWAY
    node: str = ""  # for ad-hoc commands; the name unless a specification has one
    usage: str = ""  # what follows the name, for help
    here: str | None = None  # the same in a contact's chat, where it is something else
    german: tuple[str, ...] = ()
    available: Callable[[Context], bool] = lambda _context: True
    typed: Typed | None = None  # reads what was typed after the name, where words are no field values
    exact: bool = False  # its name must be spelled right: a guess would do harm
    has_secret: Callable[[str], bool] = lambda _text: False  # whether words typed after it hold a password

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def ad_hoc_node(self) -> str:
        return self.node or self.name

    def is_typed(self, where: Where) -> bool:
        return self.where in (where, Where.BOTH)

    def every_name(self) -> Sequence[str]:
        return (*self.names, *self.german)

    def called(self, language: str) -> str:
        """Its name for who reads this language."""
        return self.german[0] if language == "de" and self.german else self.name

    def follows(self, in_chat: bool) -> str:
        """What is typed after the name."""
        return self.usage if self.here is None or not in_chat else self.here

    def language_of(self, name: str) -> str:
        """Which language this name of it belongs to; empty if to more than one."""
        if not self.german or (name in self.names) == (name in self.german):
            return ""
        return "de" if name in self.german else "en"


def _as_it_is(_field: Field, text: str) -> str:
    return text


_YES = frozenset({"1", "true", "yes", "y", "on", "ja", "j", "an"})
_NO = frozenset({"0", "false", "no", "n", "off", "nein", "aus"})


def _bool(field_: Field, text: str) -> str:
    word = text.casefold().rstrip(".!")
    if word in _YES:
        return "1"
    if word in _NO:
        return "0"
    raise Invalid(tr("Answer yes or no, please."))


def _choice(field_: Field, text: str) -> str:
    wanted = text.casefold()
    for choice in field_.choices:
        labels = (translate(choice.label, language).casefold() for language in languages())
        if wanted == choice.value.casefold() or wanted in labels:
            return choice.value
    raise Invalid(tr("“{text}” is none of these: {choices}.", text=text, choices=offered(field_)))


def offered(field_: Field) -> str:
    """What may be typed for a field that is a choice."""
    told = {
        f"c{number}": one.value
        if one.value == one.label
        else filled("{value} ({label})", value=one.value, label=one.label)
        for number, one in enumerate(field_.choices)
    }
    return filled(", ".join(f"{{{place}}}" for place in told), **told)


def _number(field_: Field, text: str) -> str:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise Invalid(tr("“{text}” is no whole number.", text=text))
    number = int(text)
    if (field_.least is not None and number < field_.least) or (
        field_.most is not None and number > field_.most
    ):
        raise Invalid(
            tr("Write a number from {least} to {most}.", least=field_.least or 0, most=field_.most or "∞")
        )
    return str(number)


def _jid(_field: Field, text: str) -> str:
    bare = text.partition("/")[0].lower()
    local, at, domain = bare.rpartition("@")
    if not (local and at and domain) or any(c.isspace() or c in "\"&'<>:" for c in bare):
        raise Invalid(tr("“{text}” is no chat address; write it like mira@example.org.", text=text))
    return bare


def _jids(field_: Field, text: str) -> str:
    return "\n".join(dict.fromkeys(_jid(field_, one) for one in text.replace(",", " ").split()))


_READERS: dict[Kind, Callable[[Field, str], str]] = {
    Kind.BOOL: _bool,
    Kind.CHOICE: _choice,
    Kind.NUMBER: _number,
    Kind.JID: _jid,
    Kind.JIDS: _jids,
}


def check(step: Step, given: Mapping[str, Any]) -> dict[str, str]:
    """The values of a step. Raises Invalid with the first thing to mend."""
    return {one.name: one.read(str(given.get(one.name, ""))) for one in step.fields}
