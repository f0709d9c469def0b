"""Brings a database to the schema of this release: an empty one at once, an older one by the migrations.

Alembic is loaded only where there is something to migrate: it costs 90 ms and 10 MB.
"""

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bridge.store.engine import make_engine
from bridge.store.tables import metadata

_HERE = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x50415353  # "PASS": one migration at a time on a PostgreSQL


class SchemaTooNew(Exception):
    """The database was migrated by a newer release."""


class SchemaTooOld(Exception):
    """The database needs `passerelle migrate`."""


def known_revisions() -> list[str]:
    """Those that this release can make, oldest first: the files `NNNN_what_it_does.py`."""
    return sorted(path.name.partition("_")[0] for path in (_HERE / "versions").glob("[0-9]*_*.py"))


def revision_of(connection: Connection) -> str | None:
    """The database's schema revision; None for an empty database. Raises SchemaTooNew."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None and revision not in known_revisions():
        raise SchemaTooNew(
            f"the database has schema {revision}, which this release does not know: "
            "run the newer passerelle that made it, or restore the copy it left beside the database"
        )
    return revision


def needs_migration(url: str) -> bool:
    """Whether `migrate` would change anything. Raises SchemaTooNew."""
    return _present(url) != known_revisions()[-1]


def require_current(url: str) -> None:
    """Raises SchemaTooOld or SchemaTooNew with a sentence that says what to do."""
    if needs_migration(url):
        raise SchemaTooOld("the database has an older schema: run `passerelle migrate --config FILE` first")


def _present(url: str) -> str | None:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def migrate(url: str, *, stepwise: bool = False) -> tuple[str | None, str]:
    """Bring the database up to date. Answers (revision before, revision after). A SQLite file that
    holds data is copied beside itself first. `stepwise` takes an empty one through all migrations too,
    which must lead to the same tables. Raises SchemaTooNew."""
    head = known_revisions()[-1]
    before = _present(url)
    if before == head:
        return before, head
    engine = make_engine(url)
    try:
        if before is not None and engine.dialect.name == "sqlite":
            _back_up(Path(engine.url.database or ""))
        with engine.connect() as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            if stepwise or revision_of(connection) is not None:
                _upgrade(connection)
            else:
                _create(connection, head)
    finally:
        engine.dispose()
    return before, head


def _create(connection: Connection, head: str) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})


def _upgrade(connection: Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    script = ScriptDirectory.from_config(config)

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
