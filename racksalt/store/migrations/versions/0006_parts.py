"""How often a node's parts changed, so that who follows the journal reads them only then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    column = sa.Column("parts_version", sa.Integer, nullable=False, server_default="0")
    op.add_column("nodes", column)


def downgrade() -> None:
    op.drop_column("nodes", "parts_version")
