"""`passerelle sms …`: what the provider of texts must know of us."""

import asyncio
from pathlib import Path

from typer import echo

from bridge.cli.output import settings_or_trouble
from bridge.cli.trouble import Trouble
from bridge.ports import SetsUpProvider
from bridge.settings import Secrets, Settings
from bridge.settings.build import adapter_for

_NO_KEY = bytes(32)  # nothing is signed here


def sync_numbers(config: Path, transport: str, *, apply: bool) -> None:
    """Compare the provider's web-hooks with ours, and set them if `apply`."""
    settings = settings_or_trouble(config, Secrets.ALL)
    for name, adapter in _set_up_by_us(settings, transport).items():
        try:
            lines = asyncio.run(adapter.set_up(apply=apply))
        except OSError as error:
            raise Trouble(f"{name}: {error}") from error
        for line in lines:
            echo(f"{name}: {'put right' if apply else 'to be put right'}: {line}")
        if not lines:
            echo(f"{name}: the provider's web-hooks are as they should be.")
        elif not apply:
            echo(f"{name}: nothing was changed. Say --apply to put it right.")


def _set_up_by_us(settings: Settings, transport: str) -> dict[str, SetsUpProvider]:
    names = [transport] if transport else list(settings.transports)
    found: dict[str, SetsUpProvider] = {}
    for name in names:
        if name not in settings.transports:
            there = ", ".join(settings.transports)
            raise Trouble(f"There is no transport {name} in {settings.path}. There is: {there}.", 2)
        adapter = adapter_for(settings, name, _NO_KEY)
        if isinstance(adapter, SetsUpProvider):
            found[name] = adapter
    if not found:
        raise Trouble("No transport of these settings has a provider that could be set up.", 2)
    return found
