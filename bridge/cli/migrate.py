"""`passerelle migrate`: the database's schema. On SQLite `run` does the same by itself."""

from pathlib import Path

from typer import echo

from bridge.cli.output import at_work, settings_or_trouble
from bridge.cli.record import database_troubles
from bridge.cli.trouble import Trouble
from bridge.settings import Secrets, Settings
from bridge.store.engine import StoreLocked, database_url, locked
from bridge.store.schema import migrate


def migrate_database(config: Path) -> None:
    settings = settings_or_trouble(config, Secrets.NONE)
    with database_troubles(), at_work("Migrating the database"):
        before, after = _migrated(settings)
    if before == after:
        echo(f"The database has schema {after} already: nothing to do.")
    elif before is None:
        echo(f"The database is new and has schema {after} now.")
    else:
        echo(f"The database went from schema {before} to {after}.")


def _migrated(settings: Settings) -> tuple[str | None, str]:
    gateway = settings.gateway
    url = database_url(gateway.database, gateway.data_dir)
    if gateway.database != "sqlite":
        return migrate(url)
    gateway.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with locked(gateway.data_dir):
            return migrate(url)
    except StoreLocked as error:
        raise Trouble(
            f"The gateway runs on {gateway.data_dir}: stop it first; it migrates when it starts."
        ) from error
