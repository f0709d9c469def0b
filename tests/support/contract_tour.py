"""The contract report: a tour through everything that the SMS adapter asks of Twilio, each exchange held
against Twilio's own file.

    python -m tests.support.contract_tour
"""

import asyncio
import sys

from bridge.demo.texts import Drop, MmsFile
from tests.adapters.test_sms_media import Shelf, picture, with_files
from tests.support import twilio_contract
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


def main() -> int:
    report = asyncio.run(tour())
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
