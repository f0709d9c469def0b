"""The contract report: a tour through everything that the SMS adapter asks of its providers, each exchange
held against the provider's own description of its API.

    python -m tests.support.contract_tour     (make contract)
"""

import asyncio
import base64
import logging
import sys

import structlog

from bridge.demo.texts import Drop, MmsFile
from tests.adapters.test_sms_media import Shelf, picture, with_files
from tests.adapters.test_sms_providers import world
from tests.support import android_contract, twilio_contract
from tests.support.fetch_twilio_contract import PACKAGE
from tests.support.sms import ALICE, OURS, delivery, rig

SERVICE = "MG" + "0" * 32


async def tour() -> twilio_contract.Report:
    """Send, send with files, look up what is in doubt, look for what was missed, fetch and delete files,
    set up numbers."""
    settings = {"media_allow": ("localhost",), "messaging_service_sid": SERVICE}
    async with Shelf().served() as shelf, rig(files=shelf, transport_settings=settings) as it:
        await it.send(delivery("hello", 1))
        await it.send(with_files("look", shelf.put("a.jpg", "image/jpeg", picture(80, 60)), number=2))
        it.twilio.fail(ALICE, Drop(taken=True))
        doubtful = delivery("in doubt", 3)
        await it.send(doubtful)
        after = it.another()
        async with after.running(it.inbox):
            await after.find(doubtful)
        await it.twilio.arrives(ALICE, OURS, "missed", [MmsFile("image/png", b"\x89PNG")], posted=False)
        it.now[0] += 1_700_000_000.0
        polling = it.another(poll_seconds=300)
        async with polling.running(it.inbox):
            await it.inbox.until(lambda: bool(it.inbox.accepted))
            await it.twilio.until(lambda: any(one.method == "DELETE" for one in it.twilio.exchanges))
        it.twilio.numbers[OURS] = "https://elsewhere.example/"
        await it.adapter.set_up(apply=False)
        await it.adapter.set_up(apply=True)
        return it.contract


async def phone_tour() -> android_contract.Report:
    """The same with a phone of one's own, as far as it goes there."""
    async with world("android") as it:
        await it.send(delivery("hello", 1))
        it.far.fail(ALICE, Drop(taken=True))
        await it.send(delivery("in doubt", 2))
        await it.adapter.find(delivery("in doubt", 2))
        await it.inbox.until(lambda: len(it.inbox.reports) >= 4)
        await it.far.arrives(ALICE, "hi")
        part = {"contentType": "image/png", "name": None, "data": base64.b64encode(b"\x89PNG").decode()}
        await it.far.picture_arrives(ALICE, "look", part)
        await it.adapter.set_up(apply=False)
        report: android_contract.Report = it.far.contract
        return report


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    twilio, phone = asyncio.run(tour()), asyncio.run(phone_tour())
    lines = [
        f"Twilio: everything that is asked of it, held against its own OpenAPI file (npm: {PACKAGE})",
        *twilio.lines(),
        "A phone of one's own: held against tests/support/android_api.json, after the app's description",
        *phone.lines(),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if twilio.faults or phone.faults else 0


if __name__ == "__main__":
    sys.exit(main())
