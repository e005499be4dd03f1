"""All tables. Times are seconds since the epoch (UTC) as floats; names carry the unit where it is another one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from racksalt.model.place import Range

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
BIGINT = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column of its own INTEGER type."""
OF_NODE = "nodes.id"


class Ranges(TypeDecorator[tuple[Range, ...]]):
    """A network's ranges, as a list of maps: they are read and written with their network, never by themselves."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> list[dict[str, str]]:  # noqa: ARG002  # SQLAlchemy's signature
        """Return what is written."""
        return [asdict(one) for one in value or ()]

    def process_result_value(self, value: Any, dialect: Any) -> tuple[Range, ...]:  # noqa: ARG002  # the same
        """Return what was read."""
        return tuple(Range(**one) for one in value or ())


zones = Table("zones", metadata, Column("name", String(64), primary_key=True))
racks = Table(
    "racks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("zone", ForeignKey("zones.name"), nullable=False),
    Column("height_u", Integer, nullable=False),
)
networks = Table(
    "networks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("zone", String(64)),
    Column("vlan", Integer),
    Column("cidr_v4", String(64)),
    Column("cidr_v6", String(64)),
    Column("gateway_v4", String(64)),
    Column("gateway_v6", String(64)),
    Column("rack", String(64)),
    Column("tagging", String(16), nullable=False),
    Column("mtu", Integer, nullable=False),
    Column("domain", String(253)),
    Column("conduit", String(64)),
    Column("bridge", String(15)),
    Column("ranges", Ranges, nullable=False),
)
nodes = Table(
    "nodes",
    metadata,
    Column("id", String(253), primary_key=True),
    Column("state", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state_since", Float, nullable=False),
    Column("zone", String(64)),
    Column("rack", String(64)),
    Column("position_u", Integer),
    Column("fqdn", String(253)),
    Column("agent", String(16), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("goal", String(64), nullable=False),
    Column("stage", String(64)),
    Column("stage_attempt", Integer, nullable=False),
    Column("deadline_at", Float),
    Column("origin", String(64)),
    Column("reason", Text),
    Column("boot", Integer, nullable=False),
    Column("boot_environment", String(16)),
    Column("job", String(32)),
    Column("job_since", Float),
    Column("power", String(16), nullable=False),
    Column("power_observed_at", Float),
    Column("last_seen_at", Float),
    Column("created_at", Float, nullable=False),
    Column("parts_version", Integer, nullable=False, server_default="0"),
    Index(None, "deadline_at"),
    Index(None, "state"),
    Index(None, "rack"),
    Index(None, "job"),
)
hardware = Table(
    "hardware",
    metadata,
    Column("node", ForeignKey(OF_NODE), primary_key=True),
    Column("serial", String(128)),
    Column("serial_key", String(128), index=True),
    Column("system_uuid", String(64), index=True),
    Column("vendor", String(128)),
    Column("product", String(128)),
    Column("cpu_model", String(128)),
    Column("cpu_cores", Integer),
    Column("memory_mib", BigInteger),
    Column("bios_version", String(128)),
    Column("cpu_threads", Integer),
    Column("cpu_sockets", Integer),
    Column("firmware_mode", String(8)),
)
nics = Table(
    "nics",
    metadata,
    Column("id", String(320), primary_key=True),
    Column("node", ForeignKey(OF_NODE), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("mac", String(17), nullable=False, unique=True),
    Column("speed_mbps", Integer),
    Column("pxe", Boolean, nullable=False),
    Column("carrier", Boolean, nullable=False, server_default=false()),
    Column("driver", String(64)),
    Column("pci", String(64)),
    Column("lldp_chassis", String(128)),
    Column("lldp_port", String(128)),
    Column("lldp_system", String(128)),
    Column("lldp_vlan", Integer),
)
disks = Table(
    "disks",
    metadata,
    Column("id", String(320), primary_key=True),
    Column("node", ForeignKey(OF_NODE), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("serial", String(128)),
    Column("size_gb", BigInteger),
    Column("media", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Column("wwn", String(128)),
    Column("model", String(128)),
)
facts = Table(
    "facts",
    metadata,
    Column("node", ForeignKey(OF_NODE), primary_key=True),
    Column("at", Float, nullable=False),
    Column("memory", JSON, nullable=False),
    Column("pci", JSON, nullable=False),
    Column("firmware", JSON, nullable=False),
    Column("bmc", JSON, nullable=False),
    Column("chassis", JSON, nullable=False),
    Column("unknown", JSON, nullable=False),
)
place_proposals = Table(
    "place_proposals",
    metadata,
    Column("node", ForeignKey(OF_NODE), primary_key=True),
    Column("at", Float, nullable=False),
    Column("switch", String(64), nullable=False),
    Column("port", String(128), nullable=False),
    Column("nic", String(64), nullable=False),
    Column("rack", String(64), nullable=False),
    Column("position_u", Integer),
    Column("obstacle", Text, nullable=False),
)
burn_results = Table(
    "burn_results",
    metadata,
    Column("id", String(400), primary_key=True),
    Column("node", ForeignKey(OF_NODE), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("part", String(80), nullable=False),
    Column("measure", String(64), nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("value", Float),
    Column("model", String(128)),
    Column("message", Text, nullable=False),
    Index(None, "model", "measure"),
)
bmcs = Table(
    "bmcs",
    metadata,
    Column("node", ForeignKey(OF_NODE), primary_key=True),
    Column("protocol", String(16), nullable=False),
    Column("address", String(253), nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", String(64), nullable=False),
    Column("secret", String(128), nullable=False),
)
addresses = Table(
    "addresses",
    metadata,
    Column("id", String(400), primary_key=True),
    Column("node", ForeignKey(OF_NODE), nullable=False, index=True),
    Column("nic", String(320)),
    Column("network", String(64)),
    Column("address", String(64), nullable=False, index=True),
    Column("family", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Index(None, "network", "family"),
)
boots = Table(
    "boots",
    metadata,
    Column("node", ForeignKey(OF_NODE), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("environment", String(16), primary_key=True),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("taken_at", Float),
    Column("taken_by", String(64)),
    Column("redeemed_at", Float),
    Column("key_sha256", String(64)),
)
proofs = Table(
    "proofs",
    metadata,
    Column("node", String(253), primary_key=True),
    Column("key_sha256", String(64), primary_key=True),
    Column("proof", String(128), nullable=False),
    Column("seen_at", Float, nullable=False),
)
journal = Table(
    "journal",
    metadata,
    Column("seq", BIGINT, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("node", String(253), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("event", String(64), nullable=False),
    Column("event_id", String(200), nullable=False),
    Column("from_state", String(64), nullable=False),
    Column("to_state", String(64), nullable=False),
    Column("stage", String(64)),
    Column("source", String(16), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("message", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    UniqueConstraint("event_id"),
    Index(None, "node", "seq"),
)
inbox = Table(
    "inbox",
    metadata,
    Column("id", BIGINT, primary_key=True, autoincrement=True),
    Column("event_id", String(200), nullable=False, unique=True),
    Column("node", String(253), nullable=False),
    Column("name", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("source", String(16), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("data", JSON, nullable=False),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", BIGINT, primary_key=True, autoincrement=True),
    Column("node", String(253), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("boot", Integer, nullable=False),
    Column("args", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_until", Float),
    Column("error", Text),
    Index(None, "node", "lane", "id"),
    Index(None, "not_before", "lease_owner"),
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
)
erase_certificates = Table(
    "erase_certificates",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(253), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("document", Text, nullable=False),
    Column("signature", String(128), nullable=False),
    Column("key", String(64), nullable=False),
    Index(None, "node", "seq"),
)
requests = Table(
    "requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("plan", String(64), nullable=False),
    Column("nodes", JSON, nullable=False),
    Column("refused", JSON, nullable=False),
)
marks = Table(
    "marks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
