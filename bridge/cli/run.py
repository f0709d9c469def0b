"""`passerelle run`: logs, settings, event loop; the rest is bridge.app's."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from bridge import app
from bridge.cli.output import settings_or_trouble
from bridge.cli.trouble import Trouble
from bridge.telemetry import LEVELS, LogForm, set_up_logs

try:
    from uvloop import new_event_loop as _fast_loop
except ImportError:  # it is not to be had everywhere
    _loop: Callable[[], asyncio.AbstractEventLoop] | None = None
else:
    _loop = _fast_loop

log = structlog.get_logger()


def run_gateway(config: Path, log_level: str, log_form: str) -> int:
    """Runs until a signal ends it. Answers the exit status."""
    if log_level not in LEVELS:
        raise Trouble(f"There is no log level {log_level}: choose {', '.join(LEVELS)}.", 2)
    if log_form not in tuple(LogForm):
        raise Trouble(f"There is no log form {log_form}: choose {', '.join(LogForm)}.", 2)
    settings = settings_or_trouble(config)
    set_up_logs(log_level, LogForm(log_form))
    for one in settings.warnings:
        log.warning("settings", line=one.line, key=one.key, problem=one.problem, remedy=one.remedy)
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(app.run(settings))
