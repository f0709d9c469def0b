"""Opens the record for a command, beside a gateway that may be running on it."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bridge.bell import ring
from bridge.cli.output import at_work
from bridge.cli.trouble import Trouble
from bridge.settings import Settings
from bridge.store.engine import database_url, make_engine
from bridge.store.schema import SchemaTooNew, SchemaTooOld, require_current


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """A transaction that writes nothing."""
    with _connected(settings) as connection:
        connection.execution_options(passerelle_reading=True)
        with connection.begin():
            yield connection


@contextlib.contextmanager
def writing(settings: Settings) -> Iterator[Connection]:
    """A transaction, committed at its end; then a running gateway is rung to look."""
    with _connected(settings) as connection, connection.begin():
        yield connection
    ring(settings.gateway.data_dir)


@contextlib.contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    gateway = settings.gateway
    if gateway.database == "sqlite" and not (gateway.data_dir / "passerelle.db").exists():
        raise Trouble(
            f"There is no database in {gateway.data_dir} yet: `passerelle run` makes it when it first starts."
        )
    url = database_url(gateway.database, gateway.data_dir)
    with database_troubles():
        with at_work("Opening the database"):
            require_current(url)
        engine = make_engine(url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


@contextlib.contextmanager
def database_troubles() -> Iterator[None]:
    """What a database refuses, as one sentence for the admin."""
    try:
        yield
    except (SchemaTooNew, SchemaTooOld) as error:
        raise Trouble(f"{str(error)[:1].upper()}{str(error)[1:]}") from error
    except SQLAlchemyError as error:
        # The driver's own first line says it; SQLAlchemy adds the statement and a web address.
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise Trouble(f"The database refused: {reason}") from error
    except PermissionError as error:
        raise Trouble(
            f"No access to {error.filename}: run this as the gateway's account, or as root."
        ) from error
