"""profanity, a console client that we did not write, driven by its own commands in a terminal."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.demo.private import LOOPBACK
from tests.clients.terminal import PATIENCE, Terminal, flat

# A window's title line says whom it is about; the panel of contacts would only narrow the text.
SETTINGS = """
[ui]
splash=false
roster=false
vercheck=false
wrap=true
[notifications]
message=false
[presence]
autoaway.mode=off
[receipts]
request=true
send=true
"""

_WAITING = "\x1b[31m"  # the default theme's red: no receipt for this line yet


class Profanity:
    """Somebody's client, logged in."""

    def __init__(self, terminal: Terminal, jid: str) -> None:
        self.terminal = terminal
        self.bare = jid

    async def type(self, line: str) -> None:
        await self.terminal.type(line)

    async def shows(self, *texts: str, within: float = PATIENCE) -> str:
        """Wait until the open window shows all of this."""
        return flat(await self.terminal.shows(*texts, within=within))

    async def open(self, jid: str) -> None:
        """Open the chat with somebody, or go back to it."""
        await self.type(f"/msg {jid}")
        await self.terminal.until(lambda screen: flat(screen).startswith(f"{jid} ["), f"the window of {jid}")

    async def accept(self, jid: str) -> None:
        """Say yes to somebody who asks for presence, and ask back."""
        await self.open(jid)
        await self.shows(f"*{jid} Authorization request")
        await self.type("/sub allow")
        await self.type("/sub request")

    async def receipted(self, line: str) -> None:
        """Wait until a line of one's own is no longer shown as one that nobody has confirmed."""

        def confirmed(screen: str) -> bool:
            lines = [one for one in screen.splitlines() if line in flat(one)]
            return bool(lines) and all(_WAITING not in one for one in lines)

        await self.terminal.until(confirmed, f"the receipt for {line!r}")


@asynccontextmanager
async def profanity(jid: str, password: str, port: int) -> AsyncIterator[Profanity]:
    """profanity with a home of its own, logged in on loopback. It may do without TLS there."""
    home = Path(tempfile.mkdtemp(prefix="passerelle-profanity-"))
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    settings = home / "config" / "profanity" / "profrc"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS, encoding="utf-8")
    environment = {**folders, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "screen-256color"}
    try:
        async with Terminal(["profanity"], environment) as terminal:
            await terminal.shows("[offline]")
            await terminal.type(f"/connect {jid} server {LOOPBACK} port {port} tls disable")
            await terminal.shows("Enter password:")
            await terminal.type(password)
            await terminal.shows("logged in successfully", "[online]")
            yield Profanity(terminal, jid)
    finally:
        shutil.rmtree(home, ignore_errors=True)
