"""How often a node's parts changed, so that who follows the journal reads them only then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("nodes", sa.Column("parts", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("nodes", "parts")
