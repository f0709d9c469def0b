"""The same XMPP side through a real ejabberd: what differs there is the server's, not ours."""

import pytest

from bridge.ports import Sent
from bridge.xmpp.outlet import XmppOutlet
from tests.bridge.xmpp_stand_in import ALICE, RecordingGateway, Server, delivery, running
from tests.support.client import RequestError, new_user
from tests.support.servers import Ejabberd

MAIL = "mail.localhost"


async def test_registration_contact_and_chat_both_ways(ejabberd: Ejabberd) -> None:
    gateway = RecordingGateway()
    async with running(gateway, Server(ejabberd.component_port)) as line:
        assert await line.wait_connected(10)
        async with new_user(ejabberd, "mira") as mira:
            await mira.register(MAIL, name="Mira")
            await mira.message_from(MAIL, containing="own address")
            assert (await mira.add_contact(ALICE))["show"] == "away"

            mira.say(ALICE, "Hello", stanza_id="m1")
            await gateway.until(lambda: gateway.written)
            assert gateway.written[0].stanza_id == "m1"

            assert await XmppOutlet(line).send([delivery(1, mira.bare, "Hi")]) == {1: Sent()}
            assert (await mira.message_from(ALICE))["id"] == "s1"

            with pytest.raises(RequestError) as refusal:
                await mira.ask(ALICE, "get", "<vCard xmlns='vcard-temp'/>")
            assert refusal.value.condition == "service-unavailable"
            await mira.unregister(MAIL)
            await mira.presence_from(ALICE, "unavailable")
    assert gateway.broken == 0
