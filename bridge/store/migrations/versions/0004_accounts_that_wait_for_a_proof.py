"""accounts that wait for a proof"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("proofs", sa.Column("sealed", sa.LargeBinary(), nullable=True))
