"""The demo's stand-in for Twilio as a process of its own, without checks. Run by bench.sms.

    python -m bench.carrier ACCOUNT TOKEN NUMBER=HOOK…

Prints its URL; then for each line on stdin what it took since the last one, as JSON.
"""

import asyncio
import json
import sys

import uvloop

from bridge.demo.phone import TwilioStandIn
from bridge.demo.texts import Goes


async def main(account: str, token: str, *numbers: str) -> None:
    stand_in = TwilioStandIn(account, token, dict(one.partition("=")[::2] for one in numbers))
    stand_in.usual = Goes(("delivered",))
    loop = asyncio.get_running_loop()
    async with stand_in.running() as url:
        print(url, flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            texts = [(one.sender + one.recipient, one.body) for one in stand_in.texts.values()]
            stand_in.texts.clear()
            print(json.dumps({"texts": len(texts), "in_order": in_order(texts)}), flush=True)


def in_order(texts: list[tuple[str, str]]) -> bool:
    """Whether each pair of numbers saw `mN: …` with growing N."""
    last: dict[str, int] = {}
    for pair, body in texts:
        number = int(body[1:].partition(":")[0])
        if number <= last.get(pair, -1):
            return False
        last[pair] = number
    return True


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
