"""Every setting, with type, unit, default and meaning.

Read once, by ``bootstrap``; nothing else reads settings files.
"""

from __future__ import annotations

from typing import Annotated, Literal

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
    """SHA-256 fingerprint of the master's public key, pinned by booted nodes; the install guide says how it is had."""
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


class ImageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Boot and system images."""

    folder: str = "/srv/racksalt/images"
    """Folder of the finished images; the boot API serves it under ``/images``."""
    cache: str = "/var/cache/racksalt/images"
    """Folder of what builds leave for the next build; may be emptied at any time."""
    kernel_args: str = "console=tty0 console=ttyS0,115200 loglevel=5"
    """Further kernel arguments of live systems and installers, such as consoles."""


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
    """How often all running jobs are looked up; less often where that would take a twentieth of a processor."""
    job_lost_s: Seconds = 20
    """After how long without a result the agent is asked whether it still runs the job."""
    keys_sweep_s: Seconds = 3
    """How often the master's pending keys are listed; less often where that would take so much."""
    power_sweep_s: Seconds = 60
    """How often each BMC is asked for its power state; less often where that would take so much."""
    start_grace_s: Seconds = 30
    """How long after its start a conductor lets passed deadlines wait, so that it looks at the world first."""
    deadline_factor: Seconds = 1.0
    """Multiplies every deadline; below 1 for virtual machines."""


class Dhcp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DHCP, TFTP and DNS on the provisioning networks (``racksalt serve-dhcp``)."""

    server: Literal["dnsmasq", "kea", "none"] = "dnsmasq"
    """What serves DHCP: ``dnsmasq``, ``kea`` (from about 1,000 nodes on), ``none`` where the site's own DHCP serves."""
    folder: str = "/var/lib/racksalt-dhcp"
    """Folder for generated files and leases, which the server's account can read."""
    networks: tuple[str, ...] = ()
    """Names of the networks to serve; none means every provisioning network."""
    interfaces: tuple[str, ...] = ()
    """Network interfaces to serve on; none means those that have an address in a served network."""
    discovery_lease_s: Annotated[int, msgspec.Meta(ge=120)] = 120
    """Length of the leases of unknown machines."""
    reservation_lease_s: Annotated[int, msgspec.Meta(ge=120)] = 3600
    """Length of the leases of nodes, whose addresses are reserved."""
    forwarders: tuple[str, ...] = ()
    """Addresses of the DNS servers that are asked about other names; none means that other names are refused."""
    dns_port: Port = 53
    """Port of the DNS service; 0 leaves it out."""
    tftp: bool = True
    """Whether firmware gets its boot loader over TFTP, from the folder of the images."""
    user: str = "dnsmasq"
    """Account of dnsmasq once it has opened its ports."""
    poll_s: Seconds = 0.2
    """How often the service looks whether the store has changed."""
    resync_s: Seconds = 30
    """How often it reads the store whether or not a change was seen."""
    kea_database: str = ""
    """Kea's PostgreSQL database, such as ``postgresql://kea@/kea?host=/run/postgresql``: reservations go there."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one installation."""

    database: str = "sqlite:////var/lib/racksalt/racksalt.db"
    """``sqlite:///path`` or ``postgresql+psycopg://…``."""
    secrets: str = "/etc/racksalt/secrets"
    """Folder, for its owner only: ``boot.key`` (made at first start), ``bmc.yaml`` (BMC passwords) and the
    folder ``switches`` (their login keys and passwords)."""
    site: str = "/srv/racksalt/pillar"
    """The site's folder: layers (global, zone, rack, node) and declarations (site)."""
    simulated: str = ""
    """``host:port`` of a lab that simulates BMCs and agents; empty without one."""
    boot_api: BootApi = msgspec.field(default_factory=BootApi)
    graphql: GraphqlApi = msgspec.field(default_factory=GraphqlApi)
    dhcp: Dhcp = msgspec.field(default_factory=Dhcp)
    images: ImageSettings = msgspec.field(default_factory=ImageSettings)
    conductor: ConductorSettings = msgspec.field(default_factory=ConductorSettings)
