"""Signed erase certificates, kept when their node is long gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "erase_certificates",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erase_certificates")),
    )
    with op.batch_alter_table("erase_certificates", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_erase_certificates_node_seq"), ["node", "seq"], unique=False
        )


def downgrade() -> None:
    op.drop_table("erase_certificates")
