"""Commands for admins. Where XEP-0133 has a node for one, it is that one's."""

import time

from bridge.commands.asking import SURE, answered, are_you_sure, is_sure, one_form
from bridge.commands.model import (
    Choice,
    Command,
    Context,
    Field,
    Kind,
    Refused,
    Reply,
    Shown,
    Step,
    Table,
    Values,
    Who,
)
from bridge.i18n import tr, translate, trn
from bridge.office import MOST_SHOWN
from bridge.policy import wait_in_words

_ADMIN = "http://jabber.org/protocol/admin#"

# --- people ---


async def _users(context: Context, values: Values) -> Reply:
    lines = await context.services.office.users()
    if not lines:
        return Reply(tr("Nobody is registered yet."))
    rows = tuple((line.jid, line.transport, line.address, line.name) for line in lines)
    columns = tuple(
        (name, translate(label, context.language))
        for name, label in (
            ("jid", tr("User")),
            ("transport", tr("Transport")),
            ("address", tr("Address")),
            ("name", tr("Name")),
        )
    )
    jids = tuple(dict.fromkeys(line.jid for line in lines))
    return Reply(
        "\n".join(" · ".join(cell for cell in row if cell) for row in rows),
        table=Table(columns, rows),
        shown=(Shown("registereduserjids", "registereduserjids", jids, "jid-multi"),),
    )


_DELETE = Step(
    tr("Remove a user"),
    (Field("accountjids", tr("Chat addresses"), Kind.JIDS, rest=True),),  # XEP-0133 section 4.2
    last=False,
)


async def _delete_steps(context: Context, values: Values) -> Step | None:
    if not answered(_DELETE, values):
        return _DELETE
    if SURE in values:
        return None
    texts = []
    for jid in values["accountjids"].split("\n"):
        summary = await context.services.office.user(jid)
        if summary is None:
            raise Refused(tr("{who} is not registered.", who=jid))
        text = tr(
            "{who} has {contacts} and {messages}; all of it will be removed.",
            who=summary.jid,
            contacts=trn("{number} contact", "{number} contacts", summary.contacts),
            messages=trn("{number} message", "{number} messages", summary.messages),
        )
        texts.append(translate(text, context.language))
    return are_you_sure(tr("Remove a user"), "\n".join(texts))


async def _delete(context: Context, values: Values) -> Reply:
    if not is_sure(values):
        return Reply(tr("Nothing was changed."))
    texts = []
    for jid in values["accountjids"].split("\n"):
        gone = await context.services.office.remove(jid)
        told = (
            tr("{who} is removed from {transports}.", who=jid, transports=", ".join(gone))
            if gone
            else tr("{who} is not registered.", who=jid)
        )
        texts.append(translate(told, context.language))
    return Reply("\n".join(texts))


_INVITE = Step(
    tr("Invite"),
    (Field("jid", tr("Chat address; empty for a code that anybody may use"), Kind.JID, required=False),),
)


async def _invite(context: Context, values: Values) -> Reply:
    jid = values.get("jid", "")
    token = await context.services.office.invite(context.jid, jid, context.transport)
    if jid:
        return Reply(tr("{who} is invited, and has been told.", who=jid))
    gateway = context.services.wishes.transport(context.transport).jid
    uri = f"xmpp:{gateway}?register;preauth={token}"
    return Reply(
        tr(
            "Give this code to one person: {token}. They type register {token} to {gateway}. {uri}",
            token=token,
            gateway=gateway,
            uri=uri,
        )
    )


async def _stats(context: Context, values: Values) -> Reply:
    found = await context.services.office.statistics()
    language = context.language
    texts = [translate(trn("{number} user", "{number} users", found.users), language)]
    texts += [f"{name}: {count}" for name, count in sorted(found.lines.items())]
    for outlet, (count, age) in sorted(found.queue.items()):
        waits = tr(
            "{outlet}: {count} waiting, the oldest for {age}",
            outlet=outlet,
            count=count,
            age=wait_in_words(age),
        )
        texts.append(translate(waits, language))
    texts += [
        translate(tr("{transport} is stopped.", transport=name), language) for name in sorted(found.stopped)
    ]
    return Reply(
        "\n".join(texts),
        shown=(Shown("registeredusersnum", "registeredusersnum", (str(found.users),), "text-single"),),
    )


_ANNOUNCE = Step(
    tr("Announce"),
    (
        Field("announcement", tr("Text to everybody who is registered here"), Kind.LONG, rest=True),
        Field("subject", tr("Heading"), required=False),
    ),
)


async def _announce(context: Context, values: Values) -> Reply:
    heading = f"*{values['subject']}*\n" if values.get("subject") else ""
    text = f"{heading}{values['announcement']}"
    count = await context.services.office.announce(context.transport, text)
    return Reply(trn("Told {number} user.", "Told {number} users.", count))


# --- the queue ---


async def _queue(context: Context, values: Values) -> Reply:
    found = await context.services.office.waiting()
    if not found:
        return Reply(tr("Nothing waits."))
    now = time.time()
    rows = tuple(
        (
            str(one.id),
            one.outlet,
            one.state.value,
            one.recipient,
            translate(wait_in_words(now - one.recorded_at), context.language),
            translate(one.reason, context.language),
        )
        for one in found
    )
    names = ("id", "outlet", "state", "to", "age", "reason")
    texts = [" · ".join(cell for cell in row if cell) for row in rows]
    if len(found) == MOST_SHOWN:
        texts.append("…")
    return Reply("\n".join(texts), table=Table(tuple((name, name) for name in names), rows))


_RETRY = Step(tr("Try again"), (Field("ids", tr("Numbers, or all"), rest=True),))
_DROP = Step(tr("Withdraw"), (Field("ids", tr("Numbers"), rest=True),))


def _ids(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 16 for word in words):
        raise Refused(tr("Write the numbers that queue shows."))
    return [int(word) for word in words]


async def _retry(context: Context, values: Values) -> Reply:
    everything = values["ids"].casefold() in ("all", "alle")
    count = await context.services.office.retry(None if everything else _ids(values["ids"]))
    return Reply(trn("{number} delivery is due now.", "{number} deliveries are due now.", count))


async def _drop(context: Context, values: Values) -> Reply:
    count = await context.services.office.drop(_ids(values["ids"]))
    return Reply(trn("{number} delivery is withdrawn.", "{number} deliveries are withdrawn.", count))


# --- transports ---


async def _transport_steps(context: Context, values: Values) -> Step | None:
    names = sorted(context.services.wishes.gateway.transports)
    field = Field(
        "transport",
        tr("Transport"),
        Kind.CHOICE,
        value=context.transport,
        choices=tuple(Choice(name, name) for name in names),
    )
    step = Step(tr("Transport"), (field,))
    return None if answered(step, values) else step


async def _stop(context: Context, values: Values) -> Reply:
    await context.services.office.stop(values["transport"], context.jid)
    return Reply(
        tr(
            "{transport} is stopped: nothing goes out until start {transport}; what is written is kept.",
            transport=values["transport"],
        )
    )


async def _start(context: Context, values: Values) -> Reply:
    await context.services.office.go_on(values["transport"])
    return Reply(tr("{transport} goes on.", transport=values["transport"]))


COMMANDS = (
    Command(
        ("users",),
        tr("Who is registered."),
        _users,
        who=Who.ADMIN,
        node=f"{_ADMIN}get-registered-users-list",
        german=("benutzer",),
    ),
    Command(
        ("delete-user",),
        tr("Remove a user."),
        _delete,
        _delete_steps,
        Who.ADMIN,
        node=f"{_ADMIN}delete-user",
        usage=tr("JID…"),
        german=("benutzer-löschen",),
        exact=True,
    ),
    Command(
        ("stats", "statistics"),
        tr("Users, and what waits."),
        _stats,
        who=Who.ADMIN,
        node=f"{_ADMIN}get-registered-users-num",
        german=("statistik",),
    ),
    Command(
        ("announce",),
        tr("Write to everybody who is registered here."),
        _announce,
        one_form(_ANNOUNCE),
        Who.ADMIN,
        node=f"{_ADMIN}announce",
        usage=tr("TEXT"),
        german=("ansage",),
        exact=True,
    ),
    Command(
        ("invite",),
        tr("Let somebody register."),
        _invite,
        one_form(_INVITE),
        Who.ADMIN,
        usage=tr("[JID]"),
        german=("einladen",),
    ),
    Command(
        ("queue",),
        tr("What waits to be delivered."),
        _queue,
        who=Who.ADMIN,
        german=("warteschlange",),
    ),
    Command(
        ("retry",),
        tr("Try deliveries again at once."),
        _retry,
        one_form(_RETRY),
        Who.ADMIN,
        usage=tr("NUMBER… | all"),
        german=("wiederholen",),
    ),
    Command(
        ("drop",),
        tr("Withdraw deliveries; their writers are told."),
        _drop,
        one_form(_DROP),
        Who.ADMIN,
        usage=tr("NUMBER…"),
        german=("verwerfen",),
        exact=True,
    ),
    Command(
        ("stop",),
        tr("Let nothing go out through a transport."),
        _stop,
        _transport_steps,
        Who.ADMIN,
        usage=tr("[TRANSPORT]"),
        german=("anhalten",),
        exact=True,
    ),
    Command(
        ("start",),
        tr("Let a transport that was stopped go on."),
        _start,
        _transport_steps,
        Who.ADMIN,
        usage=tr("[TRANSPORT]"),
        german=("starten",),
    ),
)
