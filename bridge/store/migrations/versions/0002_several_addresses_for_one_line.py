"""several addresses for one line"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "line_addresses",
        sa.Column("line_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("transport", sa.String(length=64), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["line_id"], ["lines.id"], name=op.f("fk_line_addresses_line_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("line_id", "address", name=op.f("pk_line_addresses")),
    )
    op.create_index(
        op.f("ix_line_addresses_transport_address"), "line_addresses", ["transport", "address"], unique=False
    )
    op.create_index(
        "uq_line_addresses_transport_address",
        "line_addresses",
        ["transport", "address"],
        unique=True,
        sqlite_where=sa.text("NOT shared"),
        postgresql_where=sa.text("NOT shared"),
    )
    op.execute(
        "INSERT INTO line_addresses (line_id, address, transport, shared, created_at) "
        "SELECT id, address, transport, shared, created_at FROM lines"
    )
    op.add_column("conversations", sa.Column("own", sa.String(length=320), server_default="", nullable=False))
    op.drop_index(op.f("ix_lines_transport_address"), table_name="lines")
    op.drop_index(op.f("uq_lines_transport_address"), table_name="lines", sqlite_where=sa.text("NOT shared"))
    op.drop_column("lines", "shared")
