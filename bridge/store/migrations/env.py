"""Alembic's entry: `alembic revision --autogenerate` is run as CONTRIBUTING.md describes."""

from alembic import context

from bridge.store.engine import make_engine
from bridge.store.tables import metadata

url = context.config.get_main_option("sqlalchemy.url")
if url is None:
    raise SystemExit("give a database: alembic -x … with sqlalchemy.url, see CONTRIBUTING.md")
with make_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
