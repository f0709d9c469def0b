"""The scene, step by step. Each step does something, waits for what must follow, and shows both sides.

A step that does not come out raises: StoryError, NotSeenError or TimeoutError.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote_plus

from bridge.demo.chat_user import body_of, error_text
from bridge.demo.correspondent import Letter
from bridge.demo.gateway_process import OWN_NUMBER
from bridge.demo.world import ALICE, LANDLINE, MAIL, NOBODY, PLUMBER, SMS, World, mail_contact, sms_contact

PATIENCE = 20.0  # seconds for what crosses the bridge
AFTER_CRASH = 60.0

ALICE_JID = mail_contact(ALICE)
PLUMBER_JID = sms_contact(PLUMBER)

ASK = "Hello Alice, is the flat in Garden Street still free? I could come on Thursday."
ANSWER = "Hello Mira, yes, it is. Thursday at four?"
DRIPS = "Hi, the kitchen tap drips again. Could you come by on Friday? Mira"
FRIDAY = "Friday 9am works 👍"
DOG = "Four is perfect. May I bring my dog?"
LATER = "P.S. Please ring twice, the bell is weak."
TYPO = "Hello, are you the landlord?"
TO_LANDLINE = "Can you read this?"

Step = tuple[str, Callable[[World], Awaitable[None]]]


class StoryError(AssertionError):
    """Something happened, but not what should have. The message is a sentence."""


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StoryError(otherwise)


async def register(world: World) -> None:
    """XEP-0077 with both gateways; each gives an address of its own."""
    for gateway, expected in ((MAIL, "mira@"), (SMS, OWN_NUMBER)):
        await world.mira.register(gateway, name="Mira Lind")
        form = await world.mira.registration_form(gateway)
        address = next((value for value in form.values() if value.startswith(expected)), "")
        check(bool(address), f"{gateway} gave no address; its form says {form}")
        world.transcript.chat_notes("✓", f"registered with {gateway}; own address:", more=address)


async def add_contacts(world: World) -> None:
    """Subscriptions to an address and to a number, answered with presence."""
    for name, jid in (("Alice", ALICE_JID), ("the plumber", PLUMBER_JID)):
        presence = await world.mira.add_contact(jid)
        shows = presence.xml.findtext("{jabber:client}show") or "available"
        world.transcript.chat_notes("+", f"{name} ({shows}):", more=jid)


async def write_mail(world: World) -> None:
    stanza_id = world.mira.say(ALICE_JID, ASK)
    world.transcript.chat_says("Alice", ASK)
    letter = await world.alice.letter(containing=ASK, within=PATIENCE)
    check(letter.recipients == (ALICE,), f"the envelope says {letter.recipients}")
    show_letter(world, letter)
    await world.mira.receipt_for(stanza_id, within=PATIENCE)
    world.transcript.chat_notes("✓✓", "receipt: Alice's mail server has it")


async def read_mail(world: World) -> None:
    letter = await world.alice.letter(containing=ASK)
    reply = await world.alice.answer(letter, ANSWER)
    world.transcript.far_writes(f"✉ Alice answers: {reply['Subject']}", ANSWER)
    world.transcript.wire("her mail", reply.as_string())
    body = body_of(await world.mira.message_from(ALICE_JID, within=PATIENCE))
    check(body == ANSWER, f"Mira should read {ANSWER!r} without the quote, not {body!r}")
    world.transcript.chat_hears("Alice", body)


async def write_text(world: World) -> None:
    stanza_id = world.mira.say(PLUMBER_JID, DRIPS)
    world.transcript.chat_says("the plumber", DRIPS)
    shown = await world.plumber.shows(1, PATIENCE)
    check(shown == [DRIPS], f"the phone shows {shown}")
    world.transcript.far_sees(f"☎ SMS from {OWN_NUMBER}", shown[0])
    call = next(exchange for exchange in world.carrier.exchanges if exchange.method == "POST")
    fields = [unquote_plus(field) for field in call.form.split("&")]
    request = "\n".join([f"{call.method} {call.path}", *fields, f"→ {call.status}"])
    world.transcript.wire("the call to the SMS provider's API", request)
    await world.mira.receipt_for(stanza_id, within=PATIENCE)
    world.transcript.chat_notes("✓✓", "receipt: the carrier has delivered it")


async def read_text(world: World) -> None:
    post = await world.plumber.reply(FRIDAY)
    world.transcript.far_writes("☎ the plumber answers", FRIDAY)
    fields = [f"{name}={value}" for name, value in post.form if name in ("From", "To", "Body", "MessageSid")]
    world.transcript.wire("the signed web-hook", "\n".join([f"POST {post.url}", *fields, f"→ {post.status}"]))
    body = body_of(await world.mira.message_from(PLUMBER_JID, within=PATIENCE))
    check(body == FRIDAY, f"Mira should read {FRIDAY!r}, not {body!r}")
    world.transcript.chat_hears("the plumber", body)


async def kill_gateway(world: World) -> None:
    """SIGKILL after the whole mail went out and before the 250: the worst moment."""
    world.alice.hold()
    stanza_id = world.mira.say(ALICE_JID, DOG)
    world.transcript.chat_says("Alice", DOG)
    await asyncio.wait_for(world.alice.held_back.wait(), PATIENCE)
    world.transcript.far_notes("…", "Alice's mail server has heard all of it and is about to say yes")
    world.gateway.kill()
    world.transcript.happens("⚡", f"the gateway is killed (SIGKILL), process {world.gateway.last_pid}")
    await asyncio.wait_for(world.alice.cut_off.wait(), PATIENCE)
    world.alice.release()
    letter = await world.alice.letter(containing=ASK)
    posting = asyncio.create_task(world.alice.answer(letter, LATER))
    world.transcript.far_writes("✉ Alice writes while it is down; her server will try again", LATER)
    try:
        await start_again(world, stanza_id)
        await asyncio.wait_for(posting, AFTER_CRASH)
    finally:
        posting.cancel()
    body = body_of(await world.mira.message_from(ALICE_JID, within=AFTER_CRASH))
    check(LATER in body, f"Mira should read {LATER!r}, not {body!r}")
    world.transcript.chat_hears("Alice", body)


async def start_again(world: World, stanza_id: str) -> None:
    world.gateway.start()
    world.transcript.happens("✓", f"started again, process {world.gateway.pid}")
    letter = await world.alice.letter(containing=DOG, within=AFTER_CRASH)
    show_letter(world, letter, wire=False)
    await world.mira.receipt_for(stanza_id, within=AFTER_CRASH)
    world.transcript.chat_notes("✓✓", "receipt, for what was written before the crash")


async def mistype_address(world: World) -> None:
    stanza_id = world.mira.say(mail_contact(NOBODY), TYPO)
    world.transcript.chat_says(NOBODY, TYPO)
    refusal = error_text(await world.mira.error_for(stanza_id, within=PATIENCE))
    check(NOBODY in world.alice.refused, "nobody asked Alice's mail server for that address")
    world.transcript.far_notes("✗", f"550 5.1.1 <{NOBODY}>: there is no such mailbox here")
    check(NOBODY in refusal, f"the error should name the address, not say: {refusal!r}")
    world.transcript.chat_notes("✗", refusal, "red")


async def mistype_number(world: World) -> None:
    stanza_id = world.mira.say(sms_contact(LANDLINE), TO_LANDLINE)
    world.transcript.chat_says(LANDLINE, TO_LANDLINE)
    refusal = error_text(await world.mira.error_for(stanza_id, within=PATIENCE))
    answer = world.carrier.exchanges[-1].answer.decode()
    world.transcript.far_notes("✗", "the SMS provider refuses the number")
    world.transcript.wire("its answer", answer)
    check("landline" in refusal.lower(), f"the error should say what is wrong, not: {refusal!r}")
    world.transcript.chat_notes("✗", refusal, "red")


async def count(world: World) -> None:
    """Everything that was written has arrived, once, and in order."""
    # An answer quotes what it answers below.
    letters = [letter.text.partition("\n\nOn ")[0].strip() for letter in world.alice.letters]
    check(letters == [ASK, DOG], f"Alice should have two mails, but has {letters}")
    texts = world.plumber.received()
    check(texts == [DRIPS], f"the plumber should have one text, but has {texts}")
    from_alice = world.mira.bodies_from(ALICE_JID)
    check(len(from_alice) == 2, f"Mira should have two messages from Alice, but has {from_alice}")
    from_plumber = world.mira.bodies_from(PLUMBER_JID)
    check(from_plumber == [FRIDAY], f"Mira should have one text, but has {from_plumber}")
    world.transcript.chat_notes("=", "2 mails, 1 SMS, each once")
    world.transcript.far_notes("=", "2 mails, 1 SMS, each once")


def show_letter(world: World, letter: Letter, *, wire: bool = True) -> None:
    head = f"✉ From: {letter.message['From']}\nSubject: {letter.subject}"
    world.transcript.far_sees(head, "\n" + letter.text.strip())
    if wire:
        world.transcript.wire("the mail as it came over SMTP", letter.raw.decode(errors="replace"))


STEPS: Sequence[Step] = (
    ("Mira registers with both gateways", register),
    ("She adds a mail address and a phone number to her contacts", add_contacts),
    ("She chats; Alice gets an ordinary mail", write_mail),
    ("Alice answers with her mail program; it comes back as chat", read_mail),
    ("She chats to a number; the plumber gets an SMS", write_text),
    ("The plumber answers from the phone", read_text),
    ("The gateway is killed in the middle of a mail, and nothing is lost", kill_gateway),
    ("A misspelt address is answered with a sentence that helps", mistype_address),
    ("So is a number that takes no texts", mistype_number),
    ("Counting again", count),
)
