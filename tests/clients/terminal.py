"""A program in a terminal, typed to and read like by a person. Built on tmux, with a server of its own.

Knows no particular program.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

PATIENCE = 20.0  # seconds; generous, since two cores may be busy with other tests
LOOK_EVERY = 0.05  # tmux tells nobody when a screen changes

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotShownError(AssertionError):
    """What was waited for did not appear on the screen. The message has the screen."""


class Terminal:
    """A program on a screen of its own, as an async context manager.

    The private socket keeps a developer's own tmux out of it; `/dev/null` keeps their settings out.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 160, lines: int = 50
    ) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._size = ("-x", str(columns), "-y", str(lines))
        self._folder = Path(tempfile.mkdtemp(prefix="passerelle-terminal-"))

    async def __aenter__(self) -> Self:
        variables = [word for entry in self._environment.items() for word in ("-e", "=".join(entry))]
        await self._tmux("-f", "/dev/null", "new-session", "-d", *self._size, *variables, *self._command)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._tmux("kill-server", check=False)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def type(self, line: str) -> None:
        """Type a line and press Enter."""
        await self._tmux("send-keys", "-l", "--", line)
        await self._tmux("send-keys", "Enter")

    async def screen(self) -> str:
        """What is to be seen, with its colours as escape sequences."""
        return await self._tmux("capture-pane", "-p", "-e")

    async def shows(self, *texts: str, within: float = PATIENCE) -> str:
        """Wait until all these texts are on the screen at once, wherever lines are wrapped."""
        return await self.until(lambda screen: all(text in flat(screen) for text in texts), texts, within)

    async def until(self, holds: Callable[[str], bool], what: object, within: float = PATIENCE) -> str:
        """Wait until the screen is so; it is answered. Raises NotShownError."""
        screen = ""
        try:
            async with asyncio.timeout(within):
                while True:
                    screen = await self.screen()
                    if holds(screen):
                        return screen
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise NotShownError(f"waited for {what!r}; the screen:\n{_COLOURS.sub('', screen)}") from None

    async def _tmux(self, *words: str, check: bool = True) -> str:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "-S",
            str(self._folder / "socket"),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if check and process.returncode != 0:
            raise RuntimeError(f"tmux {words[0]}: {errors.decode()}")
        return output.decode()


def flat(screen: str) -> str:
    """A screen's text in one line, without colours, so that it does not matter where it was wrapped."""
    return " ".join(_COLOURS.sub("", screen).split())
