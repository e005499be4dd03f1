"""Kea's configuration and the rows of its host database, as plain data.

Formats: the Kea Administrator Reference Manual 2.2, chapters 8 (DHCPv4), 9 (DHCPv6) and 4.3 (PostgreSQL).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_interface, ip_network
from typing import Any

from racksalt.model.place import Network
from racksalt.network.dhcp import Wanted, discovery
from racksalt.network.dnsmasq import (
    HTTP_LOADERS,
    LOADERS,
    OPTION_ENVIRONMENT,
    OPTION_NODE,
    OPTION_URL,
    SCRIPT,
    Link,
    check,
)
from racksalt.settings import Settings

HOOKS = "/usr/lib/{machine}-linux-gnu/kea/hooks/libdhcp_lease_cmds.so"
LARGEST_ID = 2**31 - 1
PRIVATE = (
    (OPTION_NODE, "racksalt-node"),
    (OPTION_URL, "racksalt-url"),
    (OPTION_ENVIRONMENT, "racksalt-environment"),
)
STRANGER = "racksalt-stranger"
IPXE = "racksalt-ipxe"
HTTP_ECHO_V6 = {
    "code": 16,
    "csv-format": False,
    "always-send": True,
    "data": "00000157000a" + b"HTTPClient".hex(),
}
"""UEFI 2.10 section 24.7: the firmware takes only offers that echo its class (RFC 8415 section 21.16), here under the
enterprise number that UEFI's firmware uses."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """A reservation in Kea's table ``hosts``: one for each NIC and network."""

    mac: str
    subnet: int
    ipv4: int | None
    ipv6: tuple[str, ...]
    label: str
    node: str
    environment: str


def subnet_ids(networks: Iterable[Network]) -> dict[str, int]:
    """Return a number for each network that stays with its name whatever other networks there are."""
    found: dict[str, int] = {}
    for name in sorted(network.name for network in networks):
        number = zlib.crc32(name.encode()) % LARGEST_ID or 1
        while number in found.values():
            number = number % LARGEST_ID + 1
        found[name] = number
    return found


def host_rows(wanted: Wanted) -> dict[tuple[str, int], HostRow]:
    """Return the reservations, by MAC and subnet."""
    ids = subnet_ids(wanted.networks)
    found: dict[tuple[str, int], HostRow] = {}
    for host in wanted.hosts.values():
        for held in host.held:
            if held.mac is None or held.network not in ids:
                continue
            key = (held.mac, ids[held.network])
            row = found.get(key)
            ipv4 = int(IPv4Address(held.address)) if held.family == 4 else row.ipv4 if row else None
            ipv6 = (*(row.ipv6 if row else ()), *((held.address,) if held.family == 6 else ()))
            found[key] = HostRow(*key, ipv4, ipv6, host.label, host.node, host.environment)
    return found


def config(
    family: int,
    wanted: Wanted,
    settings: Settings,
    links: Sequence[Link],
    *,
    database: Mapping[str, str],
    hook: str,
) -> dict[str, Any]:
    """Return Kea's configuration for one family.

    Args:
        family: 4 or 6.
        wanted: networks; hosts are in the database.
        settings: where nodes reach the boot API and the images, and how DHCP is to be.
        links: the interfaces to serve on.
        database: ``type``, ``name``, ``host``, ``user``, ``password`` of the host database.
        hook: path of the library for lease commands.

    Raises:
        SettingsError: a setting has a character that has no place in the file.
    """
    check(settings)
    folder = settings.dhcp.folder
    short, long = settings.dhcp.discovery_lease_s, settings.dhcp.reservation_lease_s
    found: dict[str, Any] = {
        "interfaces-config": {
            "interfaces": [link.name for link in links],
            # Right after the machine's start an interface may still look whether its address is free.
            "service-sockets-max-retries": 30,
            "service-sockets-retry-wait-time": 1000,
        },
        "control-socket": {"socket-type": "unix", "socket-name": socket_of(folder, family)},
        "lease-database": {
            "type": "memfile",
            "persist": True,
            "name": f"{folder}/kea-leases{family}.csv",
        },
        "hosts-database": dict(database),
        "hooks-libraries": [{"library": hook}],
        "host-reservation-identifiers": ["hw-address"],
        # Reservations lie outside of the pools, so a pool's address needs no look into the database.
        "reservations-in-subnet": True,
        "reservations-out-of-pool": True,
        "valid-lifetime": long,
        "client-classes": [_stranger(family, short)],
        "loggers": [
            {
                "name": f"kea-dhcp{family}",
                "severity": "INFO",
                "output_options": [{"output": "stdout", "flush": True}],
            }
        ],
    }
    found.update(
        _family_4(wanted, settings, links) if family == 4 else _family_6(wanted, settings, links)
    )
    found["client-classes"] += _boot_classes(family, wanted, settings, links)
    return {f"Dhcp{family}": found}


def socket_of(folder: str, family: int) -> str:
    """Return the path of a server's control socket."""
    return f"{folder}/kea{family}.sock"


def _family_4(wanted: Wanted, settings: Settings, links: Sequence[Link]) -> dict[str, Any]:
    ids = subnet_ids(wanted.networks)
    return {
        "authoritative": True,
        # One machine shows itself under several client ids on its way: firmware, iPXE, installer, system.
        "match-client-id": False,
        "option-def": [
            {"name": name, "code": code, "space": "dhcp4", "type": "string"}
            for code, name in PRIVATE
        ],
        "subnet4": [
            {
                **_subnet(network, network.cidr_v4, ids),
                "option-data": _options_4(network, settings, links),
                **(_next_server(network, links) if _boots(network) else {}),
                **_required(_classes_4(settings) if _boots(network) else []),
            }
            for network in wanted.networks
            if network.cidr_v4
        ],
    }


def _family_6(wanted: Wanted, settings: Settings, links: Sequence[Link]) -> dict[str, Any]:
    ids = subnet_ids(wanted.networks)
    servers = [one for one in settings.dhcp.forwarders if ":" in one]
    return {
        "data-directory": settings.dhcp.folder,
        "mac-sources": ["client-link-addr-option", "ipv6-link-local", "duid"],
        "preferred-lifetime": settings.dhcp.reservation_lease_s,
        "subnet6": [
            {
                **_subnet(network, network.cidr_v6, ids),
                **_interface(network, links),
                "option-data": [
                    *_some("domain-search", network.domain),
                    *_some("dns-servers", ", ".join(servers)),
                ],
                **_required(_classes_6(network, settings, links) if _boots(network) else []),
            }
            for network in wanted.networks
            if network.cidr_v6
        ],
    }


def _interface(network: Network, links: Sequence[Link]) -> dict[str, str]:
    """Return where a network is directly attached: a client's own address there says nothing of its subnet."""
    found = [link.name for link in links if link.is_on(network)]
    return {"interface": found[0]} if found else {}


def _subnet(network: Network, cidr: str, ids: Mapping[str, int]) -> dict[str, Any]:
    subnet = ip_network(cidr)
    pools = discovery(network, subnet.version)
    return {
        "id": ids[network.name],
        # Kea refuses its whole configuration for one subnet that is written with a mask.
        "subnet": str(subnet),
        "pools": [
            {"pool": f"{one.first} - {one.last}", "client-class": "UNKNOWN"} for one in pools
        ],
    }


def _options_4(network: Network, settings: Settings, links: Sequence[Link]) -> list[dict[str, Any]]:
    own = _own_v4(network, links)
    forwarders = [one for one in settings.dhcp.forwarders if ":" not in one]
    servers = [own] if own and settings.dhcp.dns_port == 53 else forwarders
    return [
        *_some("routers", network.gateway_v4),
        *_some("domain-name", network.domain),
        *_some("domain-name-servers", ", ".join(servers)),
        *_some("interface-mtu", str(network.mtu)),
        *(_url(settings) if _boots(network) else ()),
    ]


def _url(settings: Settings) -> list[dict[str, Any]]:
    data = settings.boot_api.url.replace(",", r"\,")
    return [{"name": "racksalt-url", "data": data, "always-send": True}]


def _boots(network: Network) -> bool:
    return network.purpose == "provisioning"


def _next_server(network: Network, links: Sequence[Link]) -> dict[str, str]:
    own = _own_v4(network, links)
    return {"next-server": own} if own else {}


def _own_v4(network: Network, links: Sequence[Link]) -> str | None:
    """Return our address in a network; behind a relay, the first one that we have."""
    own = [ip_interface(one).ip for link in links for one in link.addresses if ":" not in one]
    inside = [one for one in own if network.cidr_v4 and one in ip_network(network.cidr_v4)]
    return str((inside or own)[0]) if own else None


def _own_v6(network: Network, links: Sequence[Link]) -> str | None:
    """Return our address in a network; behind a relay none."""
    own = [ip_interface(one).ip for link in links for one in link.addresses if ":" in one]
    inside = [one for one in own if network.cidr_v6 and one in ip_network(network.cidr_v6)]
    return str(inside[0]) if inside else None


def _some(name: str, data: str | None) -> list[dict[str, Any]]:
    return [{"name": name, "data": data}] if data else []


def _stranger(family: int, lease_s: int) -> dict[str, Any]:
    """Return the class of machines without a reservation; clients drop an address that is preferred beyond its life."""
    preferred = {"preferred-lifetime": lease_s} if family == 6 else {}
    known = {"name": STRANGER, "test": "member('UNKNOWN')", "valid-lifetime": lease_s}
    return {**known, **preferred}


def _boot_classes(
    family: int, wanted: Wanted, settings: Settings, links: Sequence[Link]
) -> list[dict[str, Any]]:
    """Return the classes that boot; each holds only where a subnet asks for it (``only-if-required``)."""
    found: dict[str, dict[str, Any]] = {}
    for network in filter(_boots, wanted.networks):
        classes = _classes_4(settings) if family == 4 else _classes_6(network, settings, links)
        found |= {one["name"]: {**one, "only-if-required": True} for one in classes}
    return list(found.values())


def _required(classes: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return a subnet's demand for classes, in the order in which they are looked at."""
    return {"require-client-classes": [one["name"] for one in classes]} if classes else {}


def _classes_4(settings: Settings) -> list[dict[str, Any]]:
    script = f"{settings.boot_api.url}{SCRIPT}"
    echo = [{"name": "vendor-class-identifier", "data": "HTTPClient", "always-send": True}]
    return [
        {"name": IPXE, "test": "option[175].exists", "boot-file-name": script},
        *(
            {"name": f"racksalt-{tag}", "test": _arch(93, arches), "boot-file-name": file}
            for tag, arches, file in (LOADERS if settings.dhcp.tftp else ())
        ),
        *(
            {
                "name": f"racksalt-{tag}",
                "test": _arch(93, arches),
                "boot-file-name": f"{settings.boot_api.images}/{file}",
                "option-data": echo,
            }
            for tag, arches, file in HTTP_LOADERS
        ),
    ]


def _classes_6(network: Network, settings: Settings, links: Sequence[Link]) -> list[dict[str, Any]]:
    """Return the classes that boot on a network: over IPv6, what TFTP gives has our address there in its name."""

    def url(data: str) -> dict[str, str]:
        return {"name": "bootfile-url", "data": data}

    script = f"{settings.boot_api.url}{SCRIPT}"
    own = _own_v6(network, links) if settings.dhcp.tftp else None
    ipxe = {"name": IPXE, "test": "substring(option[15].hex,2,4) == 'iPXE'"}
    return [
        {**ipxe, "option-data": [url(script)]},
        *(
            {
                "name": f"racksalt-{tag}-{network.name}",
                "test": _arch(61, arches),
                "option-data": [url(f"tftp://[{own}]/{file}")],
            }
            for tag, arches, file in (LOADERS if own else ())
        ),
        *(
            {
                "name": f"racksalt-{tag}",
                "test": _arch(61, arches),
                "option-data": [url(f"{settings.boot_api.images}/{file}"), HTTP_ECHO_V6],
            }
            for tag, arches, file in HTTP_LOADERS
        ),
    ]


def _arch(option: int, arches: Iterable[int]) -> str:
    tests = [f"option[{option}].hex == 0x{arch:04x}" for arch in arches]
    return f"not member('{IPXE}') and ({' or '.join(tests)})"
