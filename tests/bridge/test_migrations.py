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


def test_contacts_keep_what_they_call_themselves_and_none_is_the_gateway(url: str) -> None:
    make_old(
        url,
        "0007",
        "INSERT INTO users (id, jid, created_at) VALUES (1, 'a@x', 1)",
        "INSERT INTO contacts (id, user_id, transport, address, original, local, size, created_at) VALUES "
        "(1, 1, 'sms', 'help', 'HELP', 'help', 0, 1), (2, 1, 'mail', 'a@x,b@x', 'a@x,b@x', 'ab', 2, 1)",
        "INSERT INTO conversations (id, user_id, transport, people) VALUES (1, 1, 'sms', '1'), "
        "(2, 1, 'mail', '2')",
        "INSERT INTO conversation_contacts (conversation_id, contact_id) VALUES (1, 1), (2, 2)",
        "INSERT INTO messages (id, uid, transport, direction, conversation_id, body, written_at) VALUES "
        "(1, 'a', 'sms', 'in', 1, '', 1), (2, 'b', 'sms', 'in', 1, '', 1), (3, 'c', 'sms', 'out', 1, '', 1), "
        "(4, 'd', 'mail', 'in', 2, '', 1)",
        "INSERT INTO deliveries (outlet, kind, lane, message_id, sender, sender_name, recipient, state,"
        " due_at, recorded_at) VALUES ('x', 'message', 'l', 1, 's', 'Old', 'r', 'sent', 1, 1),"
        " ('x', 'message', 'l', 2, 's', 'New', 'r', 'sent', 1, 1),"
        " ('x', 'message', 'l', 3, 's', 'Mira', 'r', 'sent', 1, 1),"
        " ('x', 'message', 'l', 4, 's', 'Jana', 'r', 'sent', 1, 1)",
    )
    migrate(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT local, said FROM contacts ORDER BY id")).all()
    assert [tuple(row) for row in found] == [("help~", "New"), ("ab", "")]
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
