"""Log lines: in the form that their reader wants, and without bodies, secrets or whole addresses."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from bridge.telemetry import LogForm, masked, set_up_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logs() -> Iterator[Callable[..., io.StringIO]]:
    """Sends the logs to a stream for the time of the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def start(
        form: LogForm, *, stream: io.StringIO | None = None, journal: bool = False, level: str = "info"
    ) -> io.StringIO:
        stream = stream or io.StringIO()
        environment = {"JOURNAL_STREAM": "8:1"} if journal else {}
        set_up_logs(level, form, stream=stream, environment=environment, lasting=False)
        return stream

    yield start
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice@example.org", "a…@example.org"),
        ("<alice@example.org> and bob.b+tag@x.example", "<a…@example.org> and b…@x.example"),
        (r"alice\40example.com@mail.example.org/phone", "a…@mail.example.org/phone"),
        ("+15551234567@sms.example.org", "+…@sms.example.org"),
        ("to +15551234567.", "to +15…67."),
        ("postgresql://user:word@db/name", "p…@db/name"),
        ("jörg@bücher.example", "j…@bücher.example"),
        ("1 + 1 @ noon", "1 + 1 @ noon"),
        ("mail.example.org", "mail.example.org"),
        (
            "refused [SQL: INSERT INTO m VALUES (?)] [parameters: ('Dear Alice', 'x')] more",
            "refused [SQL: INSERT INTO m VALUES (?)] [parameters hidden]",
        ),
    ],
)
def test_addresses_are_shortened_wherever_they_stand(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize("form", [LogForm.LOGFMT, LogForm.JSON, LogForm.PEOPLE])
def test_bodies_secrets_and_addresses_never_appear(logs: Callable[..., io.StringIO], form: LogForm) -> None:
    stream = logs(form)

    structlog.get_logger().info(
        "sent to alice@example.org",
        body="Dear Alice",
        auth_token="t0ken",
        recipient="alice@example.org",
        recipients=["alice@example.org", "+15551234567"],
        nested={"password": "hunter2", "to": "alice@example.org"},
        raw=b"Dear Alice",
        content=b"Dear Alice",
        error=ValueError("no such user alice@example.org"),
        delivery=42,
    )

    line = stream.getvalue()
    for secret in ("Dear", "t0ken", "hunter2", "alice", "1234567"):
        assert secret not in line
    assert "42" in line
    assert "a…@example.org" in line


def test_a_traceback_is_masked_too(logs: Callable[..., io.StringIO]) -> None:
    stream = logs(LogForm.LOGFMT)

    def refuse(body: str) -> None:
        raise ValueError("alice@example.org refused")

    try:
        refuse("Dear" + " Alice")
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "Traceback" in stream.getvalue()
    assert "a…@example.org refused" in stream.getvalue()
    assert "alice" not in stream.getvalue()
    assert "Dear Alice" not in stream.getvalue()


def test_json_lines_are_json(logs: Callable[..., io.StringIO]) -> None:
    stream = logs(LogForm.JSON)

    structlog.get_logger().warning("paused", outlet="mail", seconds=1.5)

    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"], line["outlet"], line["seconds"]) == (
        "warning",
        "paused",
        "mail",
        1.5,
    )
    assert line["timestamp"].endswith("Z")


def test_programs_get_logfmt_and_people_do_not(logs: Callable[..., io.StringIO]) -> None:
    piped = logs(LogForm.AUTO)
    structlog.get_logger().info("connected", transport="mail", ok=True)
    assert "level=info event=connected transport=mail ok=true" in piped.getvalue()

    terminal = logs(LogForm.AUTO, stream=Terminal())
    structlog.get_logger().info("connected", transport="mail")
    assert "event=" not in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()


def test_the_journal_gets_levels_instead_of_time_stamps(logs: Callable[..., io.StringIO]) -> None:
    stream = logs(LogForm.AUTO, journal=True)

    structlog.get_logger().warning("paused", outlet="mail")

    assert stream.getvalue() == "<4>level=warning event=paused outlet=mail\n"


def test_the_level_is_obeyed(logs: Callable[..., io.StringIO]) -> None:
    stream = logs(LogForm.LOGFMT, level="error")

    structlog.get_logger().warning("not this")
    structlog.get_logger().error("but this")

    assert "not this" not in stream.getvalue()
    assert "but this" in stream.getvalue()


def test_libraries_are_heard_from_warnings_on_and_quote_no_stanza(logs: Callable[..., io.StringIO]) -> None:
    stream = logs(LogForm.LOGFMT)

    logging.getLogger("slixmpp.xmlstream").info("SEND: %s", "<message/>")
    logging.getLogger("slixmpp.xmlstream").error(
        "Error handling: %s", "<message to='alice@example.org'><body>Dear Alice</body></message>"
    )
    logging.getLogger("asyncio").warning("peer %s misbehaves", "alice@example.org")

    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert 'event="Error handling: <…>"' in lines[0]
    assert "source=slixmpp.xmlstream" in lines[0]
    assert "a…@example.org misbehaves" in lines[1]
