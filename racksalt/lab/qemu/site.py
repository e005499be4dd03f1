"""The site files of a QEMU lab: one rack, a provisioning network, storage as a VLAN on a bond of two cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from racksalt.lab.installation import BMC_SECRET, BMC_USER
from racksalt.lab.qemu.spec import Spec

DOMAIN = "lab.example.net"
PREFIX_V4, PREFIX_V6 = "10.77.0", "fd77::"
"""The provisioning network, /24 and /64. Nobody outside the namespace ever sees it."""
MASTER_V4, MASTER_V6 = f"{PREFIX_V4}.1", f"{PREFIX_V6}1"
STORAGE_VLAN = 120
KERNEL_ARGUMENTS = "mitigations=off init_on_alloc=0 audit=0 apparmor=0 norandmaps"
"""What protects real machines from others, and only costs time where nobody else is: translated, it costs twice."""


def make_specs(count: int, *, uefi_every: int = 3, **more: Any) -> list[Spec]:
    """Return ``count`` machines with two cards each; every ``uefi_every``-th has UEFI firmware, the others BIOS."""
    return [
        Spec(
            id=f"q{n}",
            macs=(f"52:54:00:77:{n:02x}:00", f"52:54:00:77:{n:02x}:01"),
            serial=f"RSQ{n:05d}",
            system_uuid=f"77000000-0000-4000-8000-{n:012d}",
            firmware="uefi" if uefi_every and n % uefi_every == 0 else "bios",
            **more,
        )
        for n in range(1, count + 1)
    ]


def documents(specs: Sequence[Spec], *, families: str = "46") -> dict[str, Any]:
    """Return the files of a site that declares these machines and lets them go all the way to ``ready``.

    ``families`` are the address families of the networks: ``46``, ``4`` or ``6``.
    """
    return {
        "site/topology.yaml": {
            "zones": ["z1"],
            "racks": {"r1": {"zone": "z1", "height_u": 47}},
            "conduits": {"pair": {"nics": "any1 any2", "bond": {"mode": "active-backup"}}},
            "networks": _networks(families),
        },
        "site/policy.yaml": {
            "policy": {"approve": "manifest", "auto_commission": True, "goal": "ready"}
        },
        "site/stages.yaml": _stages(),
        "site/nodes.yaml": {"nodes": {spec.id: _node(spec) for spec in specs}},
        "global/lab.sls": {"racksalt": {"stages": quick_stages()}},
    }


def quick_stages() -> dict[str, Any]:
    """Return the settings of the stages: tests of emulated hardware are short, the system is the one that was built."""
    burn_in = {"cpu_s": 3, "memory_mib": 64, "memory_s": 2, "disk_s": 3, "self_test_s": 0}
    return {
        "burn_in": {**burn_in, "network_mib": 8},
        "wipe": {"disks": "system", "verify": {"samples": 32}},
        "partition": {"disks": {"count": 1}},
        "image": {"source": "os/debian-12/current"},
        "configure": {"kernel_arguments": KERNEL_ARGUMENTS},
    }


def _stages() -> dict[str, Any]:
    """Return the stages of an install in the live system: a reboot less, which is a minute under translation."""
    names = ("wipe", "partition", "image", "configure")
    return {
        "stages": {name: {"environment": "live"} for name in names},
        "sequences": {"install": [{"add": "wipe", "before": "partition"}]},
    }


def _node(spec: Spec) -> dict[str, Any]:
    bmc = {
        "protocol": "ipmi",
        "address": "127.0.0.1",
        "port": spec.bmc_port,
        "username": BMC_USER,
        "secret": f"file:{BMC_SECRET}",
    }
    return {
        "rack": "r1",
        "agent": "salt",
        "serial": spec.serial,
        "macs": list(spec.macs),
        **({"bmc": bmc} if spec.bmc_port else {}),
    }


def _networks(families: str) -> dict[str, Any]:
    provisioning: dict[str, Any] = {
        "purpose": "provisioning",
        "zone": "z1",
        "domain": DOMAIN,
        "conduit": "pair",
    }
    storage: dict[str, Any] = {"purpose": "storage", "vlan": STORAGE_VLAN, "conduit": "pair"}
    if "4" in families:
        _give(
            provisioning, "v4", f"{PREFIX_V4}.0/24", f"{PREFIX_V4}.", ("128", "191"), ("11", "99")
        )
        provisioning["gateway_v4"] = MASTER_V4
        _give(storage, "v4", "10.78.0.0/24", "10.78.0.", None, ("11", "99"))
    if "6" in families:
        _give(provisioning, "v6", f"{PREFIX_V6}/64", PREFIX_V6, ("1000", "103f"), ("2:1", "2:ff"))
        _give(storage, "v6", "fd78::/64", "fd78::", None, ("2:1", "2:ff"))
    return {"provisioning": provisioning, "storage": storage}


def _give(
    network: dict[str, Any],
    family: str,
    cidr: str,
    prefix: str,
    discovery: tuple[str, str] | None,
    nodes: tuple[str, str],
) -> None:
    """Add a subnet of one family with its ranges."""
    network[f"cidr_{family}"] = cidr
    ranges = network.setdefault("ranges", {})
    for name, ends, use in (
        ("discovery", discovery, "discovery"),
        ("nodes", nodes, "reservations"),
    ):
        if ends is not None:
            first, last = ends
            ranges[f"{name}_{family}"] = {
                "first": prefix + first,
                "last": prefix + last,
                "use": use,
            }
