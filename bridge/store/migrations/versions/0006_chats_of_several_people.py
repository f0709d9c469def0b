"""chats of several people"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("contact_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=256), server_default="", nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("wrote", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_members_contact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("contact_id", "address", name=op.f("pk_members")),
    )
    op.add_column("contacts", sa.Column("muted_until", sa.Double(), server_default="0", nullable=False))
    op.add_column("contacts", sa.Column("size", sa.Integer(), server_default="0", nullable=False))
    op.add_column("contacts", sa.Column("goes_to", sa.String(length=320), server_default="", nullable=False))
