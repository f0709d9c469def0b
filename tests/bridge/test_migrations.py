"""A record of an older release keeps what is in it."""

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from bridge.store import own_addresses, people
from bridge.store.engine import make_engine
from bridge.store.schema import migrate
from tools.new_migration import MIGRATIONS


def make_old(url: str, revision: str, *statements: str) -> None:
    """A database as the release with this revision made it, with rows in it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)

    def steps(present: str, _context: object) -> object:
        return script._upgrade_revs(revision, present)

    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        with EnvironmentContext(config, script, fn=steps) as environment:
            environment.configure(connection=connection, fn=steps, transactional_ddl=False)
            environment.run_migrations()
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_lines_keep_their_addresses_and_shared_ones_stay_shared(url: str) -> None:
    make_old(
        url,
        "0001",
        "INSERT INTO users (id, jid, created_at) VALUES (1, 'a@x', 1), (2, 'b@x', 1)",
        "INSERT INTO lines (id, user_id, transport, address, name, created_at, shared) VALUES "
        "(1, 1, 'sms', '+15550001000', 'A', 1, true), (2, 2, 'sms', '+15550001000', 'B', 2, true), "
        "(3, 1, 'mail', 'a@chat.example', 'A', 1, false)",
        "INSERT INTO accounts (line_id, address, sealed, brought_at) "
        f"VALUES (3, 'a@chat.example', {_BYTES[url.split(':')[0]]}, 1)",
    )
    migrate(url)
    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        for line, address, shared in (
            (1, "+15550001000", True),
            (2, "+15550001000", True),
            (3, "a@chat.example", False),
        ):
            held = own_addresses.addresses_of(connection, line)
            assert held == [own_addresses.Held(address, shared=shared, first=True)]
        found = people.line_with_address(connection, "mail", "a@chat.example")
        assert found is not None
        assert found.jid == "a@x"
        assert connection.execute(text("SELECT count(*) FROM accounts")).scalar() == 1
    engine.dispose()


_BYTES = {"sqlite": "x'00'", "postgresql+psycopg": "'\\x00'"}
