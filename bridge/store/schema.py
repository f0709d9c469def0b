"""Brings a database to the schema of this release, by the migrations in this package."""

import sqlite3
import time
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from bridge.store.engine import make_engine

_HERE = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x50415353  # "PASS": one migration at a time on a PostgreSQL


class SchemaTooNew(Exception):
    """The database was migrated by a newer release."""


class SchemaTooOld(Exception):
    """The database needs `passerelle migrate`."""


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return ScriptDirectory.from_config(config)


def revision_of(connection: Connection) -> str | None:
    """The database's schema revision; None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(url: str) -> tuple[str | None, str]:
    """Bring the database up to date. Answers (revision before, revision after). A SQLite file that
    holds data is copied beside itself first. Raises SchemaTooNew."""
    script = _script()
    head = script.get_current_head() or ""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            before = _known(script, revision_of(connection))
            connection.rollback()
            if before == head:
                return before, head
            if before is not None and engine.dialect.name == "sqlite":
                _back_up(Path(engine.url.database or ""))
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
                _upgrade(script, connection)
        return before, head
    finally:
        engine.dispose()


def require_current(url: str) -> None:
    """Raises SchemaTooOld or SchemaTooNew with a sentence that says what to do."""
    script = _script()
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            found = _known(script, revision_of(connection))
    finally:
        engine.dispose()
    if found != script.get_current_head():
        raise SchemaTooOld("the database has an older schema: run `passerelle migrate --config FILE` first")


def _known(script: ScriptDirectory, revision: str | None) -> str | None:
    if revision is not None and revision not in {one.revision for one in script.walk_revisions()}:
        raise SchemaTooNew(
            f"the database has schema {revision}, which this release does not know: "
            "run the newer passerelle that made it, or restore the copy it left beside the database"
        )
    return revision


def _upgrade(script: ScriptDirectory, connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_HERE))

    def steps(revision: str, _context: object) -> object:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(config, script, fn=steps, as_sql=False) as environment:
        environment.configure(connection=connection, fn=steps, transactional_ddl=False)
        environment.run_migrations()


def _back_up(path: Path) -> None:
    target = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S')}.bak")
    source = sqlite3.connect(path)
    try:
        copy = sqlite3.connect(target)
        with copy:
            source.backup(copy)
        copy.close()
        target.chmod(0o600)
    finally:
        source.close()
