"""The command about a mail account of the user's own: bring it, prove it, change its password, remove it.

A password belongs into the form, whose fields are private and which no archive keeps; typed as text it is
taken, too, and answered with the advice to take that line back.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from bridge.accounts import OwnAccounts
from bridge.commands.asking import are_you_sure, is_sure
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
from bridge.i18n import Phrase, tr, translate
from bridge.ports import AccountField

WHAT, SERVERS, PASSWORD, CODE = "what", "servers", "password", "code"
BRING, RENEW, PROVE, REMOVE, SHOW = "bring", "password", "code", "remove", "show"
USAGE = "[bring ADDRESS | password | CODE | remove]"

# What the adapter asks for, in words that can be translated.
_LABELS: Mapping[str, Phrase] = {
    "address": tr("Your email address"),
    PASSWORD: tr("Password, or an app password if your provider wants one"),
    "username": tr("Login name, if it is not the address"),
    "imap_host": tr("IMAP server, if it is not found automatically"),
    "imap_port": tr("IMAP port"),
    "imap_tls": tr("Encryption of IMAP"),
    "smtp_host": tr("SMTP server, if it is not found automatically"),
    "smtp_port": tr("SMTP port"),
    "smtp_tls": tr("Encryption of SMTP"),
    "smtp_username": tr("Login name for sending, if it is another"),
    "smtp_password": tr("Password for sending, if it is another"),
}


def _accounts(context: Context) -> OwnAccounts:
    if context.services.accounts is None:
        raise Refused(tr("Accounts of your own cannot be used here."))
    return context.services.accounts


def is_offered(context: Context) -> bool:
    accounts = context.services.accounts
    return accounts is not None and bool(accounts.form(context.transport))


# --- what is asked ---


async def _steps(context: Context, values: Values) -> Step | None:
    if WHAT not in values:
        return await _choice(context)
    match values[WHAT]:
        case "bring":
            return _missing_of_account(context, values)
        case "password" if PASSWORD not in values:
            field = Field(PASSWORD, _LABELS[PASSWORD], Kind.SECRET)
            return Step(tr("Another password"), (field,), tr("Nothing else changes."))
        case "code" if CODE not in values:
            return Step(tr("Own account"), (Field(CODE, tr("The code"), rest=True),))
        case "remove" if "sure" not in values:
            return await _sure(context)
    return None


async def _choice(context: Context) -> Step:
    known = await _accounts(context).of(context.user)
    offered = [Choice(BRING, tr("Use a mail account of mine here")), Choice(PROVE, tr("Type the code in"))]
    if known is not None:
        offered += [
            Choice(SHOW, tr("See whether it works")),
            Choice(RENEW, tr("It has another password")),
            Choice(REMOVE, tr("Use it here no longer")),
        ]
    first = SHOW if known is not None else BRING
    field = Field(WHAT, tr("What shall be done"), Kind.CHOICE, value=first, choices=tuple(offered))
    return Step(tr("Own account"), (field,), last=False)


def _missing_of_account(context: Context, values: Values) -> Step | None:
    """What is still to be known of the account: the servers only for who says so."""
    form = _accounts(context).form(context.transport)
    needed = [_field(one) for one in form if one.required]
    needed.append(Field(SERVERS, tr("I name the servers myself"), Kind.BOOL, required=False))
    fields = tuple(one for one in needed if one.name not in values)
    about = tr("Mail of this account comes here from now on, and what you write goes from its address.")
    if fields:
        return Step(tr("Own account"), fields, about)
    if values[SERVERS] != "1":
        return None
    fields = tuple(_field(one) for one in form if not one.required and one.name not in values)
    return Step(tr("Servers of your account"), fields) if fields else None


def _field(one: AccountField) -> Field:
    kind = Kind.SECRET if one.secret else Kind.CHOICE if one.choices else Kind.TEXT
    choices = tuple(Choice(choice, choice or tr("as usual")) for choice in one.choices)
    return Field(one.name, _LABELS.get(one.name, one.label), kind, one.required, one.value, choices)


async def _sure(context: Context) -> Step:
    known = await _accounts(context).of(context.user)
    if known is None:
        raise Refused(tr("You have not brought a mail account of your own here."))
    text = tr(
        "Mail of {address} does not come here any more, and what waits to be sent from it is not sent. "
        "The account itself stays as it is.",
        address=known.address,
    )
    return are_you_sure(tr("Remove the account"), text)


# --- as text ---


# What is typed for each of these, in the languages that we speak.
_WORDS = {
    **dict.fromkeys((BRING, "add", "bringen", "hinzufügen"), BRING),
    **dict.fromkeys((RENEW, "passwort"), RENEW),
    **dict.fromkeys((REMOVE, "delete", "entfernen", "löschen"), REMOVE),
    **dict.fromkeys((SHOW, "status", "zeigen"), SHOW),
    PROVE: PROVE,
}


async def _typed(context: Context, text: str) -> Values | None:
    """`account`, `account 123456`, `account bring ADDRESS NAME=VALUE …`, `account password`, …"""
    if not text.strip():
        return {WHAT: SHOW}
    if _is_code(text):
        return {WHAT: PROVE, CODE: text}
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    match _WORDS.get(word.casefold()):
        case "bring":
            return _brings(context, rest.split())
        case "password":
            return Partial({WHAT: RENEW, **({PASSWORD: rest} if rest else {})})
        case "code":
            return Partial({WHAT: PROVE, **({CODE: rest} if rest else {})})
        case "remove" | "show" as what:
            return Partial({WHAT: what})
    raise Invalid(tr("Write it like this: {example}", example=f"account {USAGE}"))


def _brings(context: Context, words: Sequence[str]) -> Partial:
    """What is known of the account from `ADDRESS imap_host=mail.x.org …`."""
    names = {one.name for one in _accounts(context).form(context.transport)}
    told = dict(word.split("=", 1) for word in words if "=" in word and word.partition("=")[0] in names)
    plain = [word for word in words if word.partition("=")[0] not in told]
    if len(plain) > 2:
        example = "account bring ADDRESS [imap_host=… smtp_host=…]"
        raise Invalid(tr("Write it like this: {example}", example=example))
    told |= dict(zip(("address", PASSWORD), plain, strict=False))
    others = names - {"address", PASSWORD}
    by_hand = bool(others & set(told))
    left = dict.fromkeys(others - set(told), "") if by_hand else {}
    return Partial({WHAT: BRING, SERVERS: "1" if by_hand else "0", **left, **told})


def _is_code(text: str) -> bool:
    digits = "".join(text.split())
    return digits.isdigit() and len(digits) == 6


def _has_secret(text: str) -> bool:
    """Whether what is typed after the name has a password in it."""
    words = text.split()
    match _WORDS.get(words[0].casefold()) if words else None:
        case "bring":
            plain = [word for word in words[1:] if "=" not in word]
            return len(plain) > 1 or any(word.partition("=")[0].endswith(PASSWORD) for word in words[1:])
        case "password":
            return len(words) > 1
    return False


# --- what is done ---


async def _run(context: Context, values: Values) -> Reply:
    match values[WHAT]:
        case "bring":
            return await _bring(context, values)
        case "password":
            return await _renew(context, values[PASSWORD])
        case "code":
            line = await context.services.wishes.prove(context.user, values[CODE])
            return Reply(tr("Proven: your address here is {address} from now on.", address=line.address))
        case "remove":
            return await _remove(context, values)
    return await _show(context)


async def _bring(context: Context, values: Values) -> Reply:
    asked = {one.name for one in _accounts(context).form(context.transport)}
    fields = {name: value for name, value in values.items() if name in asked}
    brought = await _accounts(context).bring(context.user, fields)
    if brought.line is not None:
        return Reply(
            tr(
                "Your account works. You write from {address} from now on, and its new mail comes here.",
                address=brought.address,
            )
        )
    return Reply(
        tr(
            "Your account works. To be sure that {address} is yours, a code is on its way there. Type it "
            "here, like this: account 123456",
            address=brought.address,
        )
    )


async def _renew(context: Context, password: str) -> Reply:
    known = await _accounts(context).renew(context.user, password)
    return Reply(tr("{address} opens again; what waited goes now.", address=known.address))


async def _remove(context: Context, values: Values) -> Reply:
    if not is_sure(values):
        return Reply(tr("Nothing was changed."))
    line = await _accounts(context).remove(context.user)
    return Reply(
        tr("Done: you write from {address} again. The password is forgotten here.", address=line.address)
    )


async def _show(context: Context) -> Reply:
    accounts = _accounts(context)
    known = await accounts.of(context.user)
    if known is None:
        return Reply(
            tr(
                "You write from {own}. To use a mail account of yours instead, run the command “account” in "
                "your program's menu, or type: account bring ADDRESS",
                own=context.user.address,
            )
        )
    say = partial(translate, language=context.language)
    state = await accounts.state(context.user)
    fine = tr("up to date") if state.up_to_date else tr("connecting")
    lines = [
        known.address,
        f"{say(tr('Reading'))}: {state.reads_at}, {say(state.reading or fine)}",
        f"{say(tr('Sending'))}: {state.sends_at}, {say(state.sending or tr('nothing is wrong'))}",
    ]
    return Reply("\n".join(lines), warn=bool(state.reading or state.sending))


ACCOUNT = Command(
    ("account", "mailbox"),
    tr("Use a mail account of your own here, or see whether it works."),
    _run,
    _steps,
    usage=USAGE,
    german=("konto", "postfach"),
    available=is_offered,
    typed=_typed,
    has_secret=_has_secret,
)
COMMANDS = (ACCOUNT,)
