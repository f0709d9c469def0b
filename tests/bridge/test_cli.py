"""The command line, as its users see it: real processes, their output and exit status."""

import asyncio
import contextlib
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bridge import bell
from bridge.cli.output import at_work
from bridge.model import State
from bridge.store import claiming, people
from bridge.store.engine import database_url, locked, make_engine
from bridge.store.recording import record_out
from bridge.store.schema import migrate
from bridge.store.tables import deliveries
from tests.bridge.records import draft

SETTINGS = """
[gateway]
data_dir = "{folder}"
allow = ["localhost"]
public_url = "https://gateway.example.org"
[xmpp]
domain = "localhost"
[web]
listen = "127.0.0.1:8480"
[transport.mail]
adapter = "email"
jid = "mail.localhost"
secret = "s"
domains = ["chat.example"]
address = "{{user}}@chat.example"
[transport.sms]
adapter = "sms"
jid = "sms.localhost"
secret = {{ credential = "sms-secret" }}
account_sid = "AC00000000000000000000000000000000"
auth_token = {{ file = "{folder}/missing" }}
numbers = ["+15550001000"]
"""

Answer = subprocess.CompletedProcess[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "passerelle.toml"
    path.write_text(SETTINGS.format(folder=tmp_path))
    return path


def passerelle(*arguments: str) -> Answer:
    environment = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
    command = Path(sys.executable).with_name("passerelle")
    return subprocess.run(
        [command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def record(config: Path) -> Iterator[Connection]:
    """A transaction on the record that the settings name."""
    url = database_url("sqlite", config.parent)
    migrate(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def waiting(config: Path) -> Path:
    """Settings whose record holds two mails and a text of mira's, none of them sent."""
    with record(config) as connection:
        people.register(connection, "mail", "mira@localhost", "Mira", ["mira@chat.example"], 1.0)
        people.register(connection, "sms", "mira@localhost", "", ["+15550001000"], 1.0)
        drafts = [
            draft("the first body"),
            draft("the second body"),
            draft("the third body", "+15557654321", transport="sms"),
        ]
        record_out(connection, drafts, time.time() - 7200)
    return config


def rows(answer: Answer) -> list[list[str]]:
    assert answer.returncode == 0, answer.stderr
    return [line.split("\t") for line in answer.stdout.splitlines()]


# --- check ---


def test_check_says_what_is_in_order(config: Path, tmp_path: Path) -> None:
    (tmp_path / "missing").write_text("t0ken")

    answer = passerelle("check", "--config", str(config))

    assert answer.returncode == 0, answer.stderr
    assert (
        f"{config} is in order: 2 transports, mail.localhost (email), sms.localhost (sms); sqlite; "
        "1 on the allow-list may register.\n"
    ) in answer.stdout
    assert "1 warning\n  line 19  transport.sms.secret: the credential sms-secret cannot" in answer.stdout
    assert not (tmp_path / "key").exists()


def test_check_tells_faults_on_standard_error_and_by_its_status(config: Path) -> None:
    answer = passerelle("check", "--config", str(config))

    assert answer.returncode == 2
    assert "line 21  transport.sms.auth_token: cannot read" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", ["run", "check", "migrate"])
def test_a_missing_settings_file_is_one_clear_message(command: str, tmp_path: Path) -> None:
    answer = passerelle(command, "--config", str(tmp_path / "nowhere.toml"))

    assert answer.returncode == 2
    assert "No such file" in answer.stderr
    assert "→ name the settings file with --config" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_run_refuses_bad_settings_before_anything_starts(config: Path, tmp_path: Path) -> None:
    answer = passerelle("run", "--config", str(config))

    assert answer.returncode == 2
    assert "transport.sms.secret" in answer.stderr
    assert not (tmp_path / "passerelle.db").exists()


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"passerelle \d+\.\d+\.\d+\n", passerelle("--version").stdout)


# --- migrate ---


def test_migrate_makes_the_database_and_then_has_nothing_to_do(config: Path) -> None:
    assert "The database is new and has schema" in passerelle("migrate", "-c", str(config)).stdout
    assert "nothing to do" in passerelle("migrate", "-c", str(config)).stdout


def test_migrate_keeps_its_hands_off_a_database_in_use(config: Path, tmp_path: Path) -> None:
    with locked(tmp_path):
        answer = passerelle("migrate", "-c", str(config))

    assert answer.returncode == 1
    assert "stop it first" in answer.stderr


# --- queue ---


def test_the_queue_is_listed_for_programs_without_bodies(waiting: Path) -> None:
    listed = rows(passerelle("queue", "list", "-c", str(waiting)))

    assert [row[1:6] for row in listed] == [
        ["mail", "message", "ready", "mira@chat.example", "alice@example.com"],
        ["mail", "message", "ready", "mira@chat.example", "alice@example.com"],
        ["sms", "message", "ready", "+15550001000", "+15557654321"],
    ]
    assert [row[6] for row in listed] == ["2 h"] * 3
    assert "body" not in str(listed)
    assert len(rows(passerelle("queue", "list", "-c", str(waiting), "--outlet", "sms"))) == 1


def test_the_queue_is_a_table_for_people(waiting: Path) -> None:
    primary, secondary = pty.openpty()
    command = [str(Path(sys.executable).with_name("passerelle")), "queue", "list", "-c", str(waiting)]
    environment = os.environ | {"COLUMNS": "200", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=secondary, env=environment) as process:
        os.close(secondary)
        shown = b""
        with contextlib.suppress(OSError):  # Linux ends a terminal whose other side is closed by an error
            while chunk := os.read(primary, 65536):
                shown += chunk
        assert process.wait(60) == 0
    os.close(primary)

    shown = re.sub(rb"\x1b\[\d*m", b"", shown)
    assert re.search(rb"^ID +Outlet +Kind +State +From", shown, re.MULTILINE)
    assert b"alice@example.com" in shown


def test_one_delivery_is_shown_in_full_but_for_what_it_says(waiting: Path) -> None:
    answer = passerelle("queue", "show", "1", "-c", str(waiting))

    assert re.search(r"^to +alice@example.com$", answer.stdout, re.MULTILINE)
    assert re.search(r"^length +14 letters$", answer.stdout, re.MULTILINE)
    assert "the first body" not in answer.stdout
    assert passerelle("queue", "show", "99", "-c", str(waiting)).returncode == 1


def test_retry_makes_what_waits_due_and_rings(waiting: Path) -> None:
    with record(waiting) as connection:
        later = deliveries.update().values(state=State.WAITING, due_at=time.time() + 3600)
        connection.execute(later)

    async def retried() -> Answer:
        heard = asyncio.Event()
        async with bell.listening(waiting.parent, heard.set):
            answer = await asyncio.to_thread(passerelle, "queue", "retry", "--all", "-c", str(waiting))
            async with asyncio.timeout(5):
                await heard.wait()
        return answer

    answer = asyncio.run(retried())

    assert answer.stdout == "3 due now.\n"
    assert [row[7] for row in rows(passerelle("queue", "list", "-c", str(waiting)))] == ["now"] * 3


def test_what_is_dropped_is_never_sent_and_its_writer_is_told(waiting: Path) -> None:
    assert passerelle("queue", "drop", "1", "-c", str(waiting)).returncode == 0

    listed = rows(passerelle("queue", "list", "-c", str(waiting)))
    assert [(row[1], row[2]) for row in listed] == [
        ("mail", "message"),
        ("sms", "message"),
        ("xmpp:mail", "error"),
    ]
    with record(waiting) as connection:
        note = connection.execute(select(deliveries.c.note).where(deliveries.c.kind == "error")).scalar_one()
    assert "it was not sent" in note


def test_what_an_outlet_has_in_hand_is_not_dropped(waiting: Path) -> None:
    with record(waiting) as connection:
        mine = select(deliveries.c.lane).where(deliveries.c.outlet == "sms")
        lanes = list(connection.execute(mine).scalars())
        assert claiming.claim_for_good(connection, "sms", lanes, time.time(), 1).by_lane

    answer = passerelle("queue", "drop", "3", "-c", str(waiting))

    assert answer.returncode == 1
    assert "under way" in answer.stderr


def test_retry_wants_to_know_which(waiting: Path) -> None:
    answer = passerelle("queue", "retry", "-c", str(waiting))

    assert answer.returncode == 2
    assert "--all" in answer.stderr


def test_a_record_that_is_not_there_yet_is_explained(config: Path) -> None:
    answer = passerelle("queue", "list", "-c", str(config))

    assert answer.returncode == 1
    assert "`passerelle run` makes it" in answer.stderr


# --- users ---


def test_a_user_is_added_shown_changed_and_removed(config: Path) -> None:
    with record(config):
        pass
    add = ("users", "add", "Bob@localhost", "-t", "mail", "-c", str(config))

    assert passerelle(*add, "--name", "Bob").stdout == (
        "bob@localhost is registered: bob@chat.example on mail.\n"
    )
    assert "is changed" in passerelle(*add, "--name", "Robert").stdout
    assert rows(passerelle("users", "list", "-c", str(config))) == [
        ["bob@localhost", "mail", "bob@chat.example", "Robert"]
    ]
    shown = passerelle("users", "show", "bob@localhost", "-c", str(config)).stdout
    assert re.search(r"^mail +bob@chat.example  Robert$", shown, re.MULTILINE)
    refused = passerelle("users", "remove", "bob@localhost", "-c", str(config))
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    removed = passerelle("users", "remove", "bob@localhost", "--yes", "-c", str(config))
    assert removed.stdout == "bob@localhost is removed from mail.\n"
    assert rows(passerelle("users", "list", "-c", str(config))) == []


def test_the_pool_of_numbers_is_not_given_out_twice(config: Path) -> None:
    with record(config):
        pass

    first = passerelle("users", "add", "bob@localhost", "-t", "sms", "-c", str(config))
    second = passerelle("users", "add", "eva@localhost", "-t", "sms", "-c", str(config))

    assert first.stdout == "bob@localhost is registered: +15550001000 on sms.\n"
    assert second.returncode == 1
    assert "somebody else's" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "bob", "-t", "mail"), "bob is no bare JID"),
        (("add", "bob@localhost/phone", "-t", "mail"), "is no bare JID"),
        (("add", "bob@localhost", "-t", "fax"), "There is no transport fax"),
        (
            ("add", "bob@localhost", "-t", "mail", "--address", "eva@chat.example"),
            "Possible: bob@chat.example",
        ),
        (("show", "nobody@localhost"), "nobody@localhost is not registered"),
        (("remove", "nobody@localhost", "--yes"), "nobody@localhost is not registered"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(config: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with record(config):
        pass

    answer = passerelle("users", *arguments, "-c", str(config))

    assert answer.returncode in (1, 2)
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


# --- progress ---


def test_what_takes_long_says_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.cli.output._FIRST_WORD_AFTER", 0.01)

    with at_work("Migrating the database"):
        for _ in range(500):
            if "Migrating the database… 0 s" in capsys.readouterr().err:
                break
            time.sleep(0.01)
        else:
            pytest.fail("not a word")
