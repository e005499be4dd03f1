"""Indices for what is asked all the time: what is due and free, and which node runs a job."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_nodes_job", "nodes", ["job"])
    op.drop_index("ix_outbox_not_before", "outbox")
    op.create_index("ix_outbox_not_before_lease_owner", "outbox", ["not_before", "lease_owner"])


def downgrade() -> None:
    op.drop_index("ix_outbox_not_before_lease_owner", "outbox")
    op.create_index("ix_outbox_not_before", "outbox", ["not_before"])
    op.drop_index("ix_nodes_job", "nodes")
