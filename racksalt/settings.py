"""Every setting, with type, unit, default and meaning.

Read once, by ``bootstrap``; nothing else reads settings files.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class BootApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The REST service on the provisioning network."""

    host: str = "127.0.0.1"
    """Address to listen on: the master's on the provisioning network."""
    port: Port = 8800
    """Port to listen on; 0 takes a free one."""
    url: str = "http://127.0.0.1:8800"
    """Base address under which nodes reach the boot API."""
    master: str = "127.0.0.1:4506"
    """``host:port`` of the Salt master's request server, as nodes reach it."""
    master_publish_port: Port = 4505
    """Port of the Salt master's publish server."""
    master_finger: str = ""
    """SHA-256 fingerprint of the master's public key (``salt-key -F master``), pinned by booted nodes."""
    images: str = "http://127.0.0.1:8800/images"
    """Base address of kernels and initial RAM disks."""
    token_ttl_s: Seconds = 3600
    """How long a boot token is good for."""


class GraphqlApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The GraphQL service on the operations network."""

    host: str = "127.0.0.1"
    """Address to listen on: the master's on the operations network."""
    port: Port = 8801
    """Port to listen on; 0 takes a free one."""


class ConductorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pace and patience of the conductor."""

    workers: Count = 16
    """Threads that carry out effects."""
    batch: Count = 256
    """Most events in one commit."""
    lease_s: Seconds = 60
    """How long one conductor keeps an effect to itself."""
    poll_s: Seconds = 0.05
    """How often a conductor looks whether another process has written."""
    agent_poll_s: Seconds = 2
    """How often a node that is on its way up is asked whether its agent answers."""
    jobs_sweep_s: Seconds = 5
    """How often running jobs are looked up in the job cache."""
    job_lost_s: Seconds = 20
    """After how long without a result the agent is asked whether it still runs the job."""
    keys_sweep_s: Seconds = 3
    """How often the master's pending keys are listed."""
    power_sweep_s: Seconds = 60
    """How often each BMC is asked for its power state."""
    start_grace_s: Seconds = 30
    """How long after its start a conductor lets passed deadlines wait, so that it looks at the world first."""
    deadline_factor: Seconds = 1.0
    """Multiplies every deadline; below 1 for virtual machines."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one installation."""

    database: str = "sqlite:////var/lib/racksalt/racksalt.db"
    """``sqlite:///path`` or ``postgresql+psycopg://…``."""
    secrets: str = "/etc/racksalt/secrets"
    """Folder, for its owner only: ``boot.key`` (made at first start) and ``bmc.yaml`` (BMC passwords)."""
    site: str = "/srv/racksalt/pillar"
    """The site's folder: layers (global, zone, rack, node) and declarations (site)."""
    simulated: str = ""
    """``host:port`` of a lab that simulates BMCs and agents; empty without one."""
    boot_api: BootApi = msgspec.field(default_factory=BootApi)
    graphql: GraphqlApi = msgspec.field(default_factory=GraphqlApi)
    conductor: ConductorSettings = msgspec.field(default_factory=ConductorSettings)
