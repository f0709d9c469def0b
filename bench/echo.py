"""The measure: slixmpp's own component, without plugins, which sends each message back. Run as a process."""

import asyncio
import sys

import slixmpp
import uvloop
from slixmpp import ComponentXMPP


async def main(jid: str, secret: str, port: int) -> None:
    component = ComponentXMPP(jid, secret, "127.0.0.1", port, fix_error_ns=True)

    def echo(message: slixmpp.Message) -> None:
        if message["type"] != "error":
            message.reply(message["body"]).send()

    component.add_event_handler("message", echo)
    component.add_event_handler("session_start", lambda _: print("connected", flush=True))
    component.connect()
    await component.disconnected


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
