"""`make demo`: plays the scene and checks every step of it, then stays up for one to try it oneself.

    python -m bridge.demo.scene [--once]      status 0 only if every step happened
"""

import argparse
import asyncio
import signal
import sys

from rich.console import Console

from bridge.demo.chat_user import NotSeenError, RequestError
from bridge.demo.gateway_process import MAIL_DOMAIN, OWN_NUMBER
from bridge.demo.private import LOOPBACK, ServerError
from bridge.demo.story import STEPS, StoryError, show_letter
from bridge.demo.transcript import Transcript
from bridge.demo.world import ALICE, MAIL, PLUMBER, World, living_world, mail_contact, sms_contact
from bridge.xmpp.words import ALIAS

INTERRUPTED = 130


def main(once: bool) -> int:
    """Play the scene; without `once` stay up afterwards until Ctrl-C. The exit status."""
    try:
        return asyncio.run(_scene(once))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except ServerError as error:
        sys.stderr.write(f"The demo could not start: {error}\n")
        return 1


async def _scene(once: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    transcript = Transcript(Console(width=None if sys.stdout.isatty() else 80))
    transcript.opening(
        "Passerelle: from XMPP to email and SMS, and back",
        [
            "Everything is real but the phone network: Prosody, SMTP, the gateway, an XMPP",
            "client. All of it runs on this machine's loopback and is gone afterwards.",
        ],
    )
    async with living_world(transcript) as world:
        transcript.columns()
        failed = await _play(world)
        if failed:
            return failed
        transcript.closing([f"All {len(STEPS)} steps happened as they should."])
        return 0 if once else await _stay(world)


async def _play(world: World) -> int:
    for number, (title, step) in enumerate(STEPS, 1):
        world.transcript.step(title)
        try:
            await step(world)
        except (StoryError, NotSeenError, RequestError, ServerError, TimeoutError, OSError) as error:
            reason = str(error) or f"nothing came in time ({type(error).__name__})"
            world.transcript.failure(
                [
                    f"Step {number} did not happen: {title}",
                    reason,
                    "",
                    "The end of the gateway's log:",
                    world.gateway.log_tail(30),
                ]
            )
            return 1
    return 0


async def _stay(world: World) -> int:
    """Let the reader be Mira; the others answer by themselves until Ctrl-C."""
    await world.mira.logout()
    world.transcript.closing(_invitation(world))
    world.alice.on_letter = lambda letter: show_letter(world, letter)
    world.alice.auto_answer = lambda _: "Thank you for your mail! I will think about it. Alice"
    answering = asyncio.create_task(_answer_texts(world))
    try:
        await asyncio.to_thread(world.gateway.wait)
    except asyncio.CancelledError:  # Ctrl-C is how one leaves, and no failure
        world.transcript.progress("stopping everything")
        return 0
    finally:
        answering.cancel()
    world.transcript.failure(["The gateway has ended. The end of its log:", world.gateway.log_tail(30)])
    return 1


def _invitation(world: World) -> list[str]:
    port = world.prosody.c2s_port
    return [
        "",
        "Now you are Mira. Log in with any XMPP client that may do without TLS:",
        "",
        f"    address   {world.mira.bare}",
        f"    password  {world.password}",
        f"    server    {LOOPBACK}, port {port}, no encryption (it is your own machine)",
        f"    profanity: /connect {world.mira.bare} server {LOOPBACK} port {port} tls disable",
        "",
        "Four things to try:",
        "",
        "  1. Chat to a mail address; Alice answers:",
        f"       {mail_contact(ALICE)}",
        f"     or by writing to {MAIL}, or to {ALIAS}@{MAIL}:  {ALICE} Hello!",
        "  2. Text a phone; the plumber answers:",
        f"       {sms_contact(PLUMBER)}",
        "  3. Misspell an address, and read what comes back:",
        f"       {mail_contact('alcie@example.com')}",
        "  4. Mail to yourself from another terminal, and see it come in as a chat:",
        r"       printf 'From: you@example.com\nSubject: Hi\n\nHello Mira\n' |",
        f"         curl smtp://{LOOPBACK}:{world.gateway.smtp_port} --mail-from you@example.com \\",
        f"           --mail-rcpt mira@{MAIL_DOMAIN} --upload-file -",
        "",
        f"The gateway's settings and log: {world.gateway.folder}",
        "Ctrl-C ends all of it.",
        "",
    ]


async def _answer_texts(world: World) -> None:
    seen = len(world.plumber.received())
    while True:
        await world.plumber.shows(seen + 1, float("inf"))
        seen += 1
        world.transcript.far_sees(f"☎ SMS from {OWN_NUMBER}", world.plumber.received()[seen - 1])
        await world.plumber.reply("Got it, I am on my way.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A conversation across the gateway, on this machine.")
    parser.add_argument("--once", action="store_true", help="end after the scene; status 0 if all went well")
    sys.exit(main(parser.parse_args().once))
