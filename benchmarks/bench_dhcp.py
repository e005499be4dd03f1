"""One more reservation among many: seconds until DHCP gives it out, processor time and memory, with dnsmasq and Kea.

Needs root and the programs of both (see tests/support/dhcp_lab.py); everything happens in network namespaces.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from benchmarks import Figure, size
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Range
from racksalt.store.reservations import boot_services
from tests.support.dhcp_lab import DOMAIN, PATH, DhcpLab, run
from tests.support.postgresql import a_server

COUNT = size("RESERVATIONS", 10_000)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WIDE = Network(
    name="prov-z1",
    purpose="provisioning",
    domain=DOMAIN,
    cidr_v4="10.64.0.0/14",
    cidr_v6="fd77::/64",
    ranges=(Range(name="d", first="10.64.0.128", last="10.64.0.175", use="discovery"),),
)
FIRST = int(ip_address("10.65.0.0"))


def _mac(number: int) -> str:
    digits = f"{number:08x}"
    return "52:54:" + ":".join(digits[n : n + 2] for n in range(0, 8, 2))


def _add(lab: Any, numbers: range) -> None:
    rows = [(f"n{number}", _mac(number), number) for number in numbers]
    fields = {"state": "declared", "version": 0, "state_since": 0.0, "boot_environment": "live"}
    with lab.store.write() as tx:
        tx.add_nodes([Node(id=node, fqdn=f"{node}.{DOMAIN}", **fields) for node, *_ in rows])
        tx.put([Nic(id=f"{node}/{mac}", node=node, name="nic0", mac=mac) for node, mac, _ in rows])
        tx.put(
            [
                Address(
                    id=f"{node}/{family}",
                    node=node,
                    nic=f"{node}/{mac}",
                    network="prov-z1",
                    address=str(ip_address(FIRST + n)) if family == 4 else f"fd77::{n:x}",
                    family=family,
                )
                for node, mac, n in rows
                for family in (4, 6)
            ]
        )


def _pids(lab: Any, *names: str) -> list[int]:
    return [pid for name in names for pid in lab.pids(name)]


def _cpu_s(pids: list[int]) -> float:
    """Return the processor seconds that processes have used, their ended children included."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_S


def _memory_mib(pids: list[int]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _live_s(lab: Any, number: int) -> float:
    """Add one reservation; return the seconds until it is served.

    Its name is put into place after its lease's files: when DNS answers, DHCP does. A client then confirms it; its own
    pauses would be most of the time.
    """
    _add(lab, range(number, number + 1))
    begun = time.perf_counter()
    while not lab.dig(f"n{number}.{DOMAIN}", server="10.64.0.1"):
        if time.perf_counter() - begun > 60:
            raise TimeoutError("the reservation never came alive")
    took = time.perf_counter() - begun
    given = lab.ask(_mac(number))["ip"]
    assert given == str(ip_address(FIRST + number)), given
    return took


@contextmanager
def _lab(server: str) -> Iterator[Any]:
    if server == "dnsmasq":
        found = DhcpLab(WIDE, server_v4="10.64.0.1/14")
        try:
            yield found
        finally:
            found.close()
        return
    with a_server() as database:
        name = database.create()
        place = ("-u", "racksalt", "-n", name, "-h", database.folder)
        run("kea-admin", "db-init", "pgsql", *place)
        url = f"postgresql://racksalt@/{name}?host={database.folder}"
        found = DhcpLab(WIDE, server_v4="10.64.0.1/14", server="kea", kea_database=url)
        try:
            yield found
        finally:
            found.close()


def _figures(server: str, programs: tuple[str, ...]) -> list[Figure]:
    with _lab(server) as lab:
        _add(lab, range(COUNT))
        begun = time.perf_counter()
        boot_services(lab.store)
        read_s = time.perf_counter() - begun
        begun = time.perf_counter()
        lab.start()
        started_s = time.perf_counter() - begun
        run("ip", "-n", lab.clients, "link", "set", "c0", "address", _mac(0))
        client, _ = lab.begin("c0", tries=20)
        client.wait(120)
        service = [int(subprocess.check_output(["pgrep", "-P", str(lab.service.pid)]).split()[0])]
        service = [lab.service.pid] if _is_python(lab.service.pid) else service
        before = _cpu_s(_pids(lab, *programs)), _cpu_s(service)
        took = [_live_s(lab, COUNT + number) for number in range(3)]
        after = _cpu_s(_pids(lab, *programs)), _cpu_s(service)
        name = f"{server}, {COUNT:,} reservations"
        return [
            Figure(f"{name}: start of the service", started_s, "s"),
            Figure(f"{name}: read of the store", read_s, "s"),
            Figure(f"{name}: one more is live", sorted(took)[1], "s", "about 1"),
            Figure(f"{name}: server for one more", (after[0] - before[0]) / 3, "CPU s"),
            Figure(f"{name}: service for one more", (after[1] - before[1]) / 3, "CPU s"),
            Figure(f"{name}: server's memory", _memory_mib(_pids(lab, *programs)), "MiB"),
            Figure(f"{name}: service's memory", _memory_mib(service), "MiB"),
        ]


def _is_python(pid: int) -> bool:
    return "python" in Path(f"/proc/{pid}/comm").read_text()


def measure() -> list[Figure]:
    """Measure both servers."""
    os.environ["PATH"] = PATH
    kea = ("kea-dhcp4", "kea-dhcp6")
    return [*_figures("dnsmasq", ("dnsmasq",)), *_figures("kea", kea)]
