"""Reads what dnsmasq tells: its lease file and its log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from racksalt.model.place import Range
from racksalt.network.dhcp import Lease, leases_in

_LINE = re.compile(r"^dnsmasq(?:-\w+)?\[\d+\]: (?:(\d+) )?(.*)$")
_SUBNET = re.compile(r"available DHCP(?:v6)? subnet: ([0-9a-fA-F:.]+)/")
_MAC = re.compile(r"client MAC address: ([0-9a-f:]{17})$")
_NONE_V4 = re.compile(
    r"DHCP(?:DISCOVER|REQUEST)\((\S+?)\) (?:\S+ )?([0-9a-f:]{17}) no address available"
)
_NONE_V6 = re.compile(r"DHCP(?:ADVERTISE|REPLY)\((\S+?)\) ([0-9a-f:]+) no addresses? available")
_NO_RANGE = re.compile(r"no address range available for DHCP(?:v6)? request via (.+)$")
_FULL = re.compile(r"(?:DHCPNAK|NOANSWER|BOOTP)\((\S+?)\) (?:\S+ )?([0-9a-f:]{17}) no leases left$")
KEPT = 256
"""Requests whose lines are remembered; those of one request come together."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that dnsmasq could not serve.

    ``kind``: ``exhausted`` no free address, ``unserved`` no range for the network that it came from, ``full`` as many
    leases as there may be at all. ``client`` is a MAC (v4) or a DUID (v6), ``mac`` the MAC where it was seen,
    ``subnets`` where the address could have come from.
    """

    kind: Literal["exhausted", "unserved", "full"]
    client: str
    via: str
    mac: str | None = None
    subnets: tuple[str, ...] = ()


@dataclass(slots=True)
class _Request:
    subnets: dict[str, None] = field(default_factory=dict)
    mac: str | None = None


class LogReader:
    """Puts together the lines of one request, which share its transaction id (setting ``log-dhcp``)."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}

    def read(self, line: str) -> Refused | None:
        """Take in one line; return what it says was refused."""
        found = _LINE.match(line)
        if found is None:
            return None
        number, text = found[1] or "", found[2]
        if text.startswith("available DHCP"):
            subnet = _SUBNET.match(text)
            if subnet:
                self._request(number).subnets[subnet[1]] = None
            return None
        mac = _MAC.match(text)
        if mac:
            self._request(number).mac = mac[1]
            return None
        return self._refused(number, text)

    def _refused(self, number: str, text: str) -> Refused | None:
        unserved = _NO_RANGE.match(text)
        if unserved:
            return Refused("unserved", "", unserved[1])
        full = _FULL.match(text)
        if full:
            return Refused("full", full[2], full[1], full[2])
        v4, v6 = _NONE_V4.match(text), _NONE_V6.match(text)
        if v4 is None and v6 is None:
            return None
        request = self._requests.pop(number, _Request())
        if v4:
            return Refused("exhausted", v4[2], v4[1], v4[2], tuple(request.subnets))
        assert v6 is not None
        return Refused("exhausted", v6[2], v6[1], request.mac, tuple(request.subnets))

    def _request(self, number: str) -> _Request:
        if number not in self._requests and len(self._requests) >= KEPT:
            del self._requests[next(iter(self._requests))]
        return self._requests.setdefault(number, _Request())


def read_leases(lines: Iterable[str]) -> list[Lease]:
    """Return the leases in dnsmasq's lease file; lines that are none, and those cut off by a crash, are left out."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) != 5:
            continue
        ends, second, address, name, last = fields
        try:
            version = ip_address(address).version
            ends_at = float(ends) or None
            iaid = int(second.lstrip("T")) if version == 6 else None
        except ValueError:
            continue
        client = last if version == 6 else second
        found.append(Lease(address, client, ends_at, None if name == "*" else name, iaid))
    return found


def server_duid(lines: Iterable[str]) -> str | None:
    """Return the server's own DUID, which the lease file has on a line of its own."""
    for line in lines:
        fields = line.split()
        if len(fields) == 2 and fields[0] == "duid":
            return fields[1]
    return None


def stale(lines: Iterable[str], owners: Mapping[str, str], ranges: Sequence[Range]) -> set[str]:
    """Return the lines of leases that their holders have no right to any more.

    Args:
        lines: of dnsmasq's lease file.
        owners: MAC by reserved address. An IPv6 lease has no MAC: anybody holds a reserved address rightly.
        ranges: those for machines that nobody knows.
    """
    found = set()
    for line in lines:
        for lease in read_leases([line]):
            owner = owners.get(lease.address)
            if owner is None:
                right = any(leases_in(one, [lease]) for one in ranges)
            else:
                right = lease.iaid is not None or owner == lease.client
            if not right:
                found.add(line)
    return found
