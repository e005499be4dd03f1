"""Networks: where they reach, how nodes are attached to them, and their ranges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = ("rack", "tagging", "mtu", "domain", "conduit", "bridge", "ranges")


def upgrade() -> None:
    with op.batch_alter_table("networks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rack", sa.String(length=64), nullable=True))
        batch_op.add_column(
            sa.Column("tagging", sa.String(length=16), nullable=False, server_default="auto")
        )
        batch_op.add_column(sa.Column("mtu", sa.Integer(), nullable=False, server_default="1500"))
        batch_op.add_column(sa.Column("domain", sa.String(length=253), nullable=True))
        batch_op.add_column(sa.Column("conduit", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("bridge", sa.String(length=15), nullable=True))
        batch_op.add_column(sa.Column("ranges", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("addresses", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_addresses_network_family"), ["network", "family"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("addresses", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_addresses_network_family"))
    with op.batch_alter_table("networks", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.drop_column(name)
