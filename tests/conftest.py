"""Real servers as fixtures. Each starts once for the run, when the first test asks for it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bridge.demo.prosody import PrivateProsody
from tests.support.servers import Ejabberd, Postgres
from tests.support.servers_mail import Dovecot, Postfix

COMPONENTS = {"mail.localhost": "mail-secret", "sms.localhost": "sms-secret"}


@pytest.fixture(scope="session")
def prosody() -> Iterator[PrivateProsody]:
    """One Prosody for all who leave it running and use users of their own (`new_user`)."""
    with PrivateProsody(COMPONENTS) as server:
        yield server


@pytest.fixture
def fresh_prosody() -> Iterator[Callable[..., PrivateProsody]]:
    """Starts a Prosody of the test's own, to be killed and restarted at will; takes its arguments."""
    with ExitStack() as stack:

        def start(components: dict[str, str] | None = None, **options: Any) -> PrivateProsody:
            return stack.enter_context(PrivateProsody(components or COMPONENTS, **options))

        yield start


@pytest.fixture(scope="session")
def ejabberd() -> Iterator[Ejabberd]:
    with Ejabberd(COMPONENTS) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """A database of the test's own, as `postgresql://…`; empty."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """Mailboxes bob, mira and gateway; the password is `a password`."""
    with Dovecot(dict.fromkeys(("bob", "mira", "gateway"), "a password")) as server:
        yield server


@pytest.fixture
def start_postfix() -> Iterator[Callable[..., Postfix]]:
    """Starts a Postfix with routes (domain → port). Skipped aloud where there is none, but not in CI."""
    reason = ""
    if os.geteuid() != 0:
        reason = "Postfix needs root"
    elif shutil.which("postfix", path="/usr/sbin") is None:
        reason = "Postfix is not installed"
    if reason and os.environ.get("PASSERELLE_CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:

        def start(routes: dict[str, int], **options: Any) -> Postfix:
            return stack.enter_context(Postfix(routes, **options))

        yield start
