"""Helpers that adapters may use: the settings every transport has, secrets, and waiting to reconnect."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from bridge.guard import may_dial as may_dial  # adapters dial what users have named

log = structlog.get_logger()


def read_secret(value: Any) -> Any:
    """A secret as the settings may write it: text, {file = …}, {env = …} or {credential = …}.

    A credential is a file in $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential). One trailing
    newline is dropped. Raises ValueError with what to do about it.
    """
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("file", str(path))]:
            return _read_secret_file(Path(path))
        case [("env", str(name))]:
            if name not in os.environ:
                raise ValueError(f"the environment has no variable {name}: set it, or use {{ file = … }}")
            return os.environ[name]
        case [("credential", str(name))]:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if not folder:
                raise ValueError(
                    f"no systemd credentials here: start with LoadCredential={name}:…, or use {{ file = … }}"
                )
            return _read_secret_file(Path(folder) / name)
    raise ValueError("a secret is text, { file = … }, { env = … } or { credential = … }")


def _read_secret_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot read {path}: {reason}") from error


Secret = Annotated[SecretStr, BeforeValidator(read_secret)]


class Section(BaseModel):
    """A table of the settings file: frozen, and unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(Section):
    """What one user may write on one transport."""

    per_minute: int = Field(default=60, ge=1)
    per_day: int = Field(default=2000, ge=1)


class TransportSettings(Section):
    """What every [transport.NAME] has; adapters derive their own from it."""

    adapter: str
    jid: str
    secret: Secret
    limits: Limits = Limits()
    retry_days: float = Field(default=2.0, gt=0)
    strangers: Literal["everyone", "ask", "contacts"] = "everyone"  # unless a user chooses otherwise
    proven_addresses: bool = False  # users may have another address once a code has proven it theirs


async def keep_trying(
    what: str,
    attempt: Callable[[], Awaitable[None]],
    *,
    longest_pause: float = 15.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run `attempt` for ever; whenever it returns or fails, wait a little and run it again.

    `attempt` connects and listens, nothing else. The pause grows from 0.25 s to `longest_pause`
    while attempts end within a second, and starts anew after one that lasted. Ends by cancellation.
    """
    loop = asyncio.get_running_loop()
    pause = 0.25
    while True:
        began = loop.time()
        try:
            await attempt()
        except Exception as error:
            log.warning("attempt failed", what=what, error=type(error).__name__, detail=str(error)[:200])
        pause = 0.25 if loop.time() - began > 1.0 else min(pause * 2, longest_pause)
        await sleep(pause * random.uniform(0.8, 1.0))
