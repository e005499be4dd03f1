"""Hardware in full: memory, PCI, firmware, switch ports, WWNs; burn-in results; proposed places."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = {
    "hardware": (
        ("cpu_threads", sa.Integer()),
        ("cpu_sockets", sa.Integer()),
        ("firmware_mode", sa.String(length=8)),
    ),
    "nics": (
        ("driver", sa.String(length=64)),
        ("pci", sa.String(length=64)),
        ("lldp_chassis", sa.String(length=128)),
        ("lldp_port", sa.String(length=128)),
        ("lldp_system", sa.String(length=128)),
        ("lldp_vlan", sa.Integer()),
    ),
    "disks": (
        ("wwn", sa.String(length=128)),
        ("model", sa.String(length=128)),
    ),
}
LISTS = ("memory", "pci", "firmware", "bmc", "chassis", "unknown")


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, kind in columns:
                batch_op.add_column(sa.Column(name, kind, nullable=True))
    with op.batch_alter_table("nics", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("carrier", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.create_table(
        "facts",
        *_node(),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in LISTS),
        *_keys("facts", "node"),
    )
    op.create_table(
        "place_proposals",
        *_node(),
        sa.Column("switch", sa.String(length=64), nullable=False),
        sa.Column("port", sa.String(length=128), nullable=False),
        sa.Column("nic", sa.String(length=64), nullable=False),
        sa.Column("rack", sa.String(length=64), nullable=False),
        sa.Column("position_u", sa.Integer(), nullable=True),
        sa.Column("obstacle", sa.Text(), nullable=False),
        *_keys("place_proposals", "node"),
    )
    op.create_table(
        "burn_results",
        sa.Column("id", sa.String(length=400), nullable=False),
        *_node(),
        sa.Column("part", sa.String(length=80), nullable=False),
        sa.Column("measure", sa.String(length=64), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        *_keys("burn_results", "id"),
    )
    with op.batch_alter_table("burn_results", schema=None) as batch_op:
        batch_op.create_index("ix_burn_results_node", ["node"], unique=False)
        batch_op.create_index("ix_burn_results_model_measure", ["model", "measure"], unique=False)


def _node() -> tuple[sa.Column[str], sa.Column[float]]:
    return (
        sa.Column("node", sa.String(length=253), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )


def _keys(table: str, primary: str) -> tuple[sa.Constraint, sa.Constraint]:
    return (
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f(f"fk_{table}_node")),
        sa.PrimaryKeyConstraint(primary, name=op.f(f"pk_{table}")),
    )


def downgrade() -> None:
    for table in ("burn_results", "place_proposals", "facts"):
        op.drop_table(table)
    with op.batch_alter_table("nics", schema=None) as batch_op:
        batch_op.drop_column("carrier")
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, _ in columns:
                batch_op.drop_column(name)
