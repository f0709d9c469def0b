"""Writes the next migration: what `bridge/store/tables.py` has that the migrations do not make yet.

python -m tools.new_migration "what it does"
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from bridge.store.engine import database_url
from bridge.store.schema import migrate

MIGRATIONS = Path(__file__).parent.parent / "bridge/store/migrations"


def main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = database_url("sqlite", Path(folder))
        migrate(url, stepwise=True)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("sqlalchemy.url", url)
        number = 1 + len(list((MIGRATIONS / "versions").glob("[0-9]*.py")))
        made = command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04}")
    path = Path(made.path)  # type: ignore[union-attr]  # one revision, so no list
    text = path.read_text(encoding="utf-8")
    # Alembic writes SQLite's spelling of a boolean default, which PostgreSQL refuses.
    path.write_text(text.replace("sa.text('0')", "sa.false()"), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", "--line-length", "110", path], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--fix", path], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
