"""an address book for everybody"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "directory",
        sa.Column("transport", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("original", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=256), server_default="", nullable=False),
        sa.Column("photo", sa.String(length=48), nullable=True),
        sa.Column("photo_type", sa.String(length=64), server_default="", nullable=False),
        sa.Column("photo_hash", sa.String(length=40), server_default="", nullable=False),
        sa.Column("photo_source", sa.String(length=40), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["photo"], ["blobs.token"], name=op.f("fk_directory_photo"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("transport", "address", name=op.f("pk_directory")),
    )
    op.create_index(op.f("ix_directory_photo"), "directory", ["photo"], unique=False)
    op.create_table(
        "imports",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transport", sa.String(length=64), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("people", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_imports_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_imports")),
    )
    op.add_column("contacts", sa.Column("said", sa.String(length=256), server_default="", nullable=False))
    op.add_column("lines", sa.Column("new_here", sa.Boolean(), server_default=sa.false(), nullable=False))
    # Under this node the gateway itself answers; see bridge.addressing.
    op.execute("UPDATE contacts SET local = 'help~' WHERE local = 'help'")
    op.execute(
        "UPDATE contacts SET said = COALESCE((SELECT deliveries.sender_name FROM conversation_contacts"
        " JOIN messages ON messages.conversation_id = conversation_contacts.conversation_id"
        " JOIN deliveries ON deliveries.message_id = messages.id"
        " WHERE conversation_contacts.contact_id = contacts.id AND messages.direction = 'in'"
        " AND deliveries.sender_name <> '' ORDER BY messages.id DESC LIMIT 1), '') WHERE size = 0"
    )
