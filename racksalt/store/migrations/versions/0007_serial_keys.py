"""What counts of a serial number, so that a machine is found however the number is spelt."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

HARDWARE = sa.table("hardware", sa.column("node"), sa.column("serial"), sa.column("serial_key"))
NO_WORD = re.compile(r"[^A-Za-z0-9]")


def upgrade() -> None:
    op.add_column("hardware", sa.Column("serial_key", sa.String(length=128), nullable=True))
    connection = op.get_bind()
    known = sa.select(HARDWARE.c.node, HARDWARE.c.serial).where(HARDWARE.c.serial.is_not(None))
    keys = [
        {"_node": row.node, "_key": NO_WORD.sub("", row.serial).lower() or None}
        for row in connection.execute(known)
    ]
    fill = sa.update(HARDWARE).where(HARDWARE.c.node == sa.bindparam("_node"))
    if keys:
        connection.execute(fill.values(serial_key=sa.bindparam("_key")), keys)
    op.create_index("ix_hardware_serial_key", "hardware", ["serial_key"])
    op.drop_index("ix_hardware_serial", "hardware")


def downgrade() -> None:
    op.create_index("ix_hardware_serial", "hardware", ["serial"])
    op.drop_index("ix_hardware_serial_key", "hardware")
    op.drop_column("hardware", "serial_key")
