"""What the gateway tells about itself: log lines and metrics. Knows nothing of what it tells about.

No line carries a body, a secret or a full address: a processor that every line passes masks them,
also those of the libraries. `METRICS` is one registry for the process, served on the admin listener.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from structlog.typing import EventDict, Processor, WrappedLogger

# --- log lines ---


class LogForm(StrEnum):
    AUTO = "auto"  # people on a terminal, else logfmt
    PEOPLE = "people"
    LOGFMT = "logfmt"
    JSON = "json"


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
LEVELS = tuple(_LEVELS)

_HIDDEN = "[hidden]"
_SECRETIVE = re.compile(
    r"(^|_)(body|text|subject|secret|password|passphrase|token|credential|raw|payload|stanza|html)s?$"
)
_ADDRESS = re.compile(r"[^\s@<>\"'(),;=]+@((?:[\w-]+\.)*[\w-]+)")
_NUMBER = re.compile(r"\+\d{5,15}")
# A database error repeats the statement's parameters, which are bodies and addresses.
_PARAMETERS = re.compile(r"\[parameters: .*", re.DOTALL)
# Libraries put whole stanzas into their lines.
_MARKUP = re.compile(r"<\w.*>", re.DOTALL)
# sd-daemon(3): journald reads the level from the beginning of a line.
_JOURNAL_PREFIX = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


def set_up_logs(
    level: str = "info",
    form: LogForm = LogForm.AUTO,
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
    lasting: bool = True,
) -> None:
    """Send structlog's lines, and the libraries' from WARNING on, to `stream` (standard error).

    `lasting` lets each logger keep what it was set up with, which is faster; tests that set up
    several times switch it off.
    """
    stream = stream or sys.stderr
    journal = "JOURNAL_STREAM" in environment and not stream.isatty()
    if form is LogForm.AUTO:
        form = LogForm.PEOPLE if stream.isatty() else LogForm.LOGFMT
    processors: list[Processor] = [structlog.processors.add_log_level]
    if not journal:  # which stamps the lines itself
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=form is not LogForm.PEOPLE))
    render = _renderer(form, stream)
    processors += [
        structlog.processors.format_exc_info,
        mask,
        _with_journal_prefix(render) if journal else render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=lasting,
    )
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


def _renderer(form: LogForm, stream: TextIO) -> Processor:
    if form is LogForm.JSON:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    if form is LogForm.LOGFMT:
        order = ["timestamp", "level", "event"]
        return structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True, bool_as_flag=False)
    # Its rich tracebacks would print local variables: bodies and secrets.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain, pad_event_to=24)


def _with_journal_prefix(renderer: Processor) -> Processor:
    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        prefix = _JOURNAL_PREFIX.get(str(event.get("level")), "<6>")
        # journald takes each line for an entry: those of a traceback keep the level.
        return prefix + str(renderer(logger, method, event)).replace("\n", f"\n{prefix}")

    return render


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide secrets and bodies by their keys, and shorten addresses and numbers wherever they stand."""
    for key, value in event.items():
        if key == "event":
            event[key] = masked(str(value))
        elif _is_secretive(key):
            event[key] = _HIDDEN
        elif not isinstance(value, int | float | None):
            event[key] = _masked_value(value)
    return event


@lru_cache(maxsize=512)
def _is_secretive(key: str) -> bool:
    return _SECRETIVE.search(key) is not None


def masked(text: str) -> str:
    """`alice@example.org` becomes `a…@example.org`, `+15551234567` becomes `+15…67`."""
    if "[parameters: " in text:
        text = _PARAMETERS.sub("[parameters hidden]", text)
    if "@" in text:
        text = _ADDRESS.sub(lambda found: f"{found.group()[0]}…@{found.group(1)}", text)
    if "+" in text:
        text = _NUMBER.sub(lambda found: f"{found.group()[:3]}…{found.group()[-2:]}", text)
    return text


def _masked_value(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {
            masked(str(key)): _HIDDEN if _SECRETIVE.search(str(key)) else _masked_value(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked_value(inner) for inner in value]
    return value if isinstance(value, int | float | None) else masked(str(value))


class _Libraries(logging.Handler):
    """Takes what libraries log by the standard library, and says it as a line of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = _MARKUP.sub("<…>", record.getMessage())
            line = structlog.get_logger().bind(source=record.name)
            line.log(max(record.levelno, logging.WARNING), message[:500], exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


# --- metrics ---


_without_creation_times: Callable[[], None] = disable_created_metrics  # which has no types of its own


class Metrics:
    """Every number that the gateway tells. Labels take few values: transports, outlets, fates."""

    def __init__(self) -> None:
        _without_creation_times()
        self.registry = registry = CollectorRegistry()
        self.stanzas_recorded = Counter(
            "passerelle_stanzas_recorded",
            "Messages from clients, committed.",
            ["transport"],
            registry=registry,
        )
        self.inputs_recorded = Counter(
            "passerelle_inputs_recorded", "Mails and web-hooks, committed.", ["transport"], registry=registry
        )
        self.deliveries = Counter(
            "passerelle_deliveries",
            "Attempts to deliver, by what became of them.",
            ["outlet", "fate"],
            registry=registry,
        )
        self.queue = Gauge(
            "passerelle_queue_deliveries", "Deliveries not settled yet.", ["outlet"], registry=registry
        )
        self.queue_age = Gauge(
            "passerelle_queue_oldest_seconds",
            "Age of the oldest delivery that is not settled.",
            ["outlet"],
            registry=registry,
        )
        self.intake = Gauge("passerelle_intake_inputs", "Recorded inputs not read yet.", registry=registry)
        self.connected = Gauge(
            "passerelle_component_connected",
            "1 while the component is connected to the XMPP server.",
            ["transport"],
            registry=registry,
        )
        self.blocked = Counter(
            "passerelle_contacts_blocked",
            "Contacts that users have blocked in their chat programs.",
            ["transport"],
            registry=registry,
        )
        self.dropped = Counter(
            "passerelle_messages_dropped",
            "Messages from outside that were not recorded, since their sender is blocked.",
            ["transport"],
            registry=registry,
        )
        self.spam_reports = Counter(
            "passerelle_spam_reports", "Senders whom users have reported.", ["transport"], registry=registry
        )
        self.errors = Counter(
            "passerelle_errors", "Exceptions that nobody foresaw, by where.", ["where"], registry=registry
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def set_queue(self, depths: Mapping[str, tuple[int, float]]) -> None:
        """Deliveries that are open, by outlet: how many, and the age of the oldest in seconds."""
        self.queue.clear()  # an outlet that has nothing left is not in `depths`
        self.queue_age.clear()
        for outlet, (count, age) in depths.items():
            self.queue.labels(outlet).set(count)
            self.queue_age.labels(outlet).set(age)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


METRICS = Metrics()
