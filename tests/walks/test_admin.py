"""The admin's commands and pages beside a running gateway."""

import asyncio

from bridge.demo.world import MAIL
from tests.support.client import body_of, error_text
from tests.walks.gateway import ALICE, ALICE_JID, BOB, BOB_JID, PLUMBER_JID, World


async def test_the_queue_is_listed_shown_hastened_and_withdrawn(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    walk.mail.now.on_rcpt = lambda address: "451 4.7.1 Greylisted, try later"
    to_alice = mira.say(ALICE_JID, "a line for Alice")
    to_bob = mira.say(BOB_JID, "a line for Bob")
    await walk.deliveries("mail", "TryLater", 2)
    rows = {row[5]: row for row in await walk.queue()}
    assert set(rows) == {ALICE, BOB}
    assert all(row[3] == "waiting" and row[8] == "1" for row in rows.values())
    ids = {address: row[0] for address, row in rows.items()}

    walk.mail.now.on_rcpt = lambda address: None
    shown, retried, dropped = await asyncio.gather(
        walk.passerelle("queue", "show", ids[ALICE]),
        walk.passerelle("queue", "retry", ids[ALICE]),
        walk.passerelle("queue", "drop", ids[BOB]),
    )
    assert ALICE in shown
    assert "a line for Alice" not in shown, "bodies are nobody's business"
    assert retried.startswith("1 ")
    assert dropped.startswith("1 ")
    await mira.receipt_for(to_alice)
    assert "withdrawn" in error_text(await mira.error_for(to_bob))
    assert walk.mail.texts() == ["a line for Alice"]

    left, again = await asyncio.gather(walk.queue(), walk.passerelle("queue", "drop", ids[BOB], status=1))
    assert left == []
    assert "Not open any more" in again


async def test_users_are_listed_shown_added_and_removed(walk: World) -> None:
    mira = await walk.user(on=())
    address = walk.address_of(mira)
    add = ("users", "add", mira.bare, "--transport", "mail", "--name", "Mira Lind")
    assert address in await walk.passerelle(*add)
    await mira.receipt_for(mira.say(ALICE_JID, "registered by the admin"))
    assert "Mira Lind" in walk.mail.mails[0].message["From"]
    await walk.write_mail(mira, "hello")
    assert "hello" in body_of(await mira.message_from(ALICE_JID))
    listed, shown = await asyncio.gather(
        walk.passerelle("users", "list"), walk.passerelle("users", "show", mira.bare)
    )
    assert f"{mira.bare}\tmail\t{address}\tMira Lind" in listed
    assert address in shown
    assert "hello" not in shown

    await walk.passerelle("users", "remove", mira.bare, "--yes")
    error = await mira.error_for(mira.say(ALICE_JID, "am I still here?"))
    assert error["error"]["condition"] == "registration-required"
    assert "not registered" in await walk.passerelle("users", "show", mira.bare, status=1)
    assert len(walk.mail.mails) == 1


async def test_the_numbers_tell_what_happened(walk: World) -> None:
    mira = await walk.user()
    for contact in (ALICE_JID, PLUMBER_JID):
        await mira.receipt_for(mira.say(contact, "counted"))
    await walk.write_mail(mira, "counted, too")
    await mira.message_from(ALICE_JID)
    await walk.deliveries("xmpp:mail", "Sent", 2)
    for name, labels, count in (
        ("passerelle_stanzas_recorded_total", {"transport": "mail"}, 1),
        ("passerelle_stanzas_recorded_total", {"transport": "sms"}, 1),
        ("passerelle_inputs_recorded_total", {"transport": "mail"}, 1),
        ("passerelle_deliveries_total", {"outlet": "mail", "fate": "Sent"}, 1),
        ("passerelle_deliveries_total", {"outlet": "sms", "fate": "Sent"}, 1),
        ("passerelle_deliveries_total", {"outlet": "xmpp:mail", "fate": "Sent"}, 2),
        ("passerelle_component_connected", {"transport": "mail"}, 1),
        ("passerelle_queue_deliveries", {}, 0),
        ("passerelle_errors_total", {}, 0),
    ):
        assert await walk.metric(name, **labels) == count, name


async def test_no_body_and_no_full_address_stands_in_the_log(walk: World) -> None:
    mira = await walk.user()
    await mira.receipt_for(mira.say(ALICE_JID, "something confidential"))
    await mira.receipt_for(mira.say(PLUMBER_JID, "something confidential"))
    await walk.write_mail(mira, "confidential as well")
    await mira.message_from(ALICE_JID)
    hidden = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/>"
    await mira.error_for(mira.say(BOB_JID, "confidential fallback", extra=hidden))
    await walk.stop()
    for word in ("confidential", ALICE, mira.bare, PLUMBER_JID.partition("@")[0], "mail-secret"):
        assert word not in walk.log
