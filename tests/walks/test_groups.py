"""Mail with several people, as a user sees it in one chat: through a real Prosody, real SMTP and the disk."""

from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid

from slixmpp import Message

from bridge.addressing import to_local
from bridge.demo.world import MAIL
from tests.support.client import ChatUser, body_of, error_text
from tests.support.mail import Received
from tests.walks.gateway import AFTER_CRASH, World, chat_with

JANA, TOM, EVA = "Jana Berg <jana@x.example>", "Tom Ray <tom@y.example>", "Eva Klein <eva@z.example>"


async def mail_of(
    walk: World, user: ChatUser, writer: str, text: str, *, to: str = "", cc: str = "", answers: str = ""
) -> str:
    """A mail that names the user and others; answers its Message-ID."""
    mail = EmailMessage()
    mail["From"] = writer
    mail["To"] = f"{walk.address_of(user)}, {to}" if to else walk.address_of(user)
    if cc:
        mail["Cc"] = cc
    mail["Subject"] = "Re: Summer party" if answers else "Summer party"
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain="x.example")
    if answers:
        mail["In-Reply-To"] = answers
        mail["References"] = answers
    mail.set_content(text + "\n")
    await walk.hand_in(user, mail, getaddresses([writer])[0][1])
    return str(mail["Message-ID"])


def head(mail: Received) -> tuple[set[str], str, str]:
    """Whom a mail went to by its envelope, and what its head says of that."""
    return set(mail.recipients), str(mail.message["To"]), str(mail.message["Cc"] or "")


async def test_three_people_and_a_restart_in_the_middle(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    chat = chat_with(JANA, TOM)

    first = await mail_of(walk, mira, JANA, "Saturday at six?", to=TOM)
    assert body_of(await mira.message_from(chat)) == (
        "✉ Jana Berg <jana@x.example> · Summer party\n👥 Also to Tom Ray\nJana: Saturday at six?"
    )
    await mira.receipt_for(mira.say(chat, "Just between us: is there cake?"))
    told = await mira.message_from(chat, containing="Goes to")
    assert body_of(told) == "Goes to Jana alone; /all answers everybody."
    assert head(walk.mail.mails[0]) == ({"jana@x.example"}, "Jana Berg <jana@x.example>", "")
    assert str(walk.mail.mails[0].message["In-Reply-To"]) == first

    await walk.kill()
    await walk.start()
    await walk.ready()
    second = await mail_of(walk, mira, TOM, "I bring Eva.", to=JANA, cc=EVA, answers=first)
    arrived = await mira.message_from(chat, containing="Tom:", within=AFTER_CRASH)
    assert body_of(arrived) == "+ Eva was added\nTom: I bring Eva."
    await mira.receipt_for(mira.say(chat, "/all See you all there"))
    await walk.mail.arrived("See you all there", to="eva@z.example")
    reached, to, cc = head(walk.mail.mails[-1])
    assert reached == {"jana@x.example", "tom@y.example", "eva@z.example"}
    assert (to, cc) == ("Tom Ray <tom@y.example>, Jana Berg <jana@x.example>", "Eva Klein <eva@z.example>")
    assert first in walk.mail.mails[-1].message["References"]
    assert second in walk.mail.mails[-1].message["References"]

    await mail_of(walk, mira, TOM, "Don't tell Jana: a surprise!", answers=second)
    private = await mira.message_from(chat_with(TOM), containing="surprise")
    assert body_of(private).startswith("✉ Tom Ray <tom@y.example>")
    mira.say(chat, "/who", receipt=False)
    people = body_of(await mira.message_from(chat, containing="You, "))
    assert "Jana Berg <jana@x.example>\nTom Ray <tom@y.example>\nEva Klein <eva@z.example>" in people
    assert len([body for body in mira.bodies_from(chat) if "surprise" in body]) == 0


async def test_a_chat_that_is_typed_meets_the_answers_of_its_people(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    typed = f"{to_local('tom@y.example,jana@x.example')}@{MAIL}"
    await mira.receipt_for(mira.say(typed, "Dinner on Friday?"))
    assert head(walk.mail.mails[0])[0] == {"jana@x.example", "tom@y.example"}
    asked = str(walk.mail.mails[0].message["Message-ID"])
    await mail_of(walk, mira, JANA, "Gladly.", to=TOM, answers=asked)
    assert body_of(await mira.message_from(typed)) == "✉ Summer party\nJana: Gladly."
    await mira.receipt_for(mira.say(typed, "At eight"))
    assert head(walk.mail.mails[-1])[0] == {"jana@x.example"}


async def test_a_flood_is_kept_over_a_restart_until_it_is_shown(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    chat = chat_with(JANA, TOM)
    for n in range(14):
        await mail_of(walk, mira, JANA if n % 2 else TOM, f"line {n}", to=TOM if n % 2 else JANA)
    await mira.message_from(chat, containing="line 9")
    await mail_of(walk, mira, JANA, "another chat", to=EVA)
    await mira.message_from(chat_with(JANA, EVA))
    assert not any("line 10" in body for body in mira.bodies_from(chat))

    await walk.kill()
    await walk.start()
    await walk.ready()
    waiting = [columns[0] for columns in await walk.queue() if columns[0].isdigit()]
    await walk.passerelle("queue", "retry", *waiting)
    told = await mira.message_from(chat, containing="more in", within=AFTER_CRASH)
    assert body_of(told) == "4 more in “Summer party”. /show /mute"
    mira.say(chat, "/show", receipt=False)
    await mira.message_from(chat, containing="4 messages follow.")
    await mira.message_from(chat, containing="line 13")
    lines = [body.rpartition(" ")[2] for body in mira.bodies_from(chat) if ": line " in body]
    assert lines == [str(n) for n in range(14)]


async def test_many_are_announced_before_a_line_reaches_them(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    crowd = [f"Person{chr(65 + n)} Ray <p{n}@crowd.example>" for n in range(30)]
    await mail_of(walk, mira, JANA, "All of you", to=", ".join(crowd))
    shown = await mira.expect(
        lambda stanza: isinstance(stanza, Message) and "All of you" in body_of(stanza), "the mail to all"
    )
    chat = str(shown["from"].bare)
    assert chat.startswith("group-")
    mira.say(chat, "/all me too", receipt=False)
    asked = await mira.message_from(chat, containing="Reaches")
    assert body_of(asked) == "Reaches 31 people (Jana, PersonA, +29). /yes within 5 minutes."
    assert walk.mail.mails == []
    mira.say(chat, "/yes", receipt=False)
    await walk.mail.arrived("me too", to="p29@crowd.example")
    assert len({one for mail in walk.mail.mails for one in mail.recipients}) == 31
    refused = await mira.error_for(mira.say(f"group-{'0' * 20}@{MAIL}", "Who is there?"))
    assert "Nobody here knows who is in this chat" in error_text(refused)
