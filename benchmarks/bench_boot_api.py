"""Processor time of the boot API per request, over real sockets and a real SQLite file.

The server is a process of its own. Its threads are told apart: the conductor's writer, which steps and commits, is
counted by itself, so that what the API adds can be seen.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import Figure, size
from racksalt.adapters.settings_file import write_settings
from racksalt.adapters.site_files import write_site
from racksalt.model.node import Nic, Node
from racksalt.settings import BootApi, Settings
from racksalt.store import Store
from tests.support.boot_process import BootProcess

NODES, CLIENTS = size("NODES", 1000), 32
FINGER = ":".join(["ab"] * 32)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
AIM = "<= 0.4 outside the conductor"


@dataclass(slots=True)
class _Phase:
    """One kind of request, sent once for each node."""

    seconds: float
    latencies: list[float]
    cpu_s: float
    writer_cpu_s: float
    bodies: list[bytes]

    def figures(self, name: str) -> list[Figure]:
        """Return what is worth a line in the table."""
        count = len(self.latencies)
        ordered = sorted(self.latencies)
        outside_ms = (self.cpu_s - self.writer_cpu_s) * 1000 / count
        return [
            Figure(f"{name}: API", outside_ms, "CPU-ms each", AIM),
            Figure(f"{name}: conductor", self.writer_cpu_s * 1000 / count, "CPU-ms each"),
            Figure(f"{name}: rate", count / self.seconds, "requests/s"),
            Figure(f"{name}: p99", ordered[count * 99 // 100] * 1000, "ms", "<= 250"),
        ]


def measure() -> list[Figure]:
    """Send each kind of request for 1,000 nodes from 32 connections."""
    with tempfile.TemporaryDirectory(prefix="racksalt-bench-") as name:
        folder = Path(name)
        _prepare(folder)
        process = BootProcess(folder)
        started_s = process.start()
        try:
            return [Figure("start", started_s, "s", "<= 3"), *asyncio.run(_phases(process))]
        finally:
            process.stop()


def _prepare(folder: Path) -> None:
    """Write settings, an empty site and the nodes: half approved and declared, half retired."""
    settings = Settings(
        database=f"sqlite:///{folder}/racksalt.db",
        secrets=f"{folder}/secrets",
        site=str(write_site(folder / "pillar", {"site/site.yaml": {"zones": ["z1"]}})),
        boot_api=BootApi(master_finger=FINGER),
    )
    write_settings(folder / "racksalt.yaml", settings)
    store = Store(settings.database)
    template = Node(id="x", state="declared", version=0, state_since=time.time(), approved=True)
    with store.write() as tx:
        numbers = range(2 * NODES)
        states = ("declared", "retired")
        tx.add_nodes(
            [
                replace(template, id=f"n{i}", state=states[i // NODES], agent="light")
                for i in numbers
            ]
        )
        tx.put([Nic(id=f"n{i}/e", node=f"n{i}", name="e", mac=_mac(i), pxe=True) for i in numbers])
    store.close()


def _mac(number: int) -> str:
    return f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _who(number: int) -> str:
    uuid = f"4c4c4544-0051-3010-8057-{number:012x}"
    return f"/v1/boot/script?mac={_mac(number)}&uuid={uuid}&serial=SN{number}&arch=x86_64"


async def _phases(process: BootProcess) -> list[Figure]:
    numbers, figures = range(NODES), []
    # These need no writer, so its thread is the one that is new afterwards.
    health = await _phase(process, [_get("/healthz") for _ in numbers], set())
    held = await _phase(process, [_get(f"{_who(NODES + i)}&held=1") for i in numbers], set())
    readers = set(_threads(process))
    scripts = await _phase(process, [_get(_who(i)) for i in numbers], readers)
    tokens = [_token(body) for body in scripts.bodies]
    parameters = [_get(f"/v1/nodes/n{i}/parameters", tokens[i]) for i in numbers]
    inventories = [_report(i, tokens[i], _inventory(i)) for i in numbers]
    progress = [_report(i, tokens[i], {"id": "p", "event": "progress"}) for i in numbers]
    figures += health.figures("healthz") + held.figures("script, held (no event)")
    figures += scripts.figures("script, first boot (event)")
    for name, requests in (
        ("parameters", parameters),
        ("report, inventory", inventories),
        ("report, progress", progress),
    ):
        figures += (await _phase(process, requests, readers)).figures(name)
    return figures


def _token(script: bytes) -> str:
    return script.split(b"racksalt.token=")[1][:64].decode()


def _inventory(number: int) -> dict[str, object]:
    nics = [
        {"name": f"eth{i}", "mac": _mac(number + i * 65536), "speed_mbps": 25000, "pxe": i == 0}
        for i in range(4)
    ]
    disks = [
        {"name": f"sd{i}", "serial": f"D{number}-{i}", "size_gb": 960, "media": "ssd"}
        for i in range(8)
    ]
    found = {"serial": f"SN{number}", "vendor": "Acme", "memory_mib": 1024, "nics": nics}
    return {"id": "i", "event": "inventory_reported", "data": {**found, "disks": disks}}


def _get(path: str, token: str = "") -> bytes:
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n".encode()


def _report(number: int, token: str, report: dict[str, object]) -> bytes:
    body = json.dumps(report).encode()
    head = (
        f"POST /v1/nodes/n{number}/reports HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _phase(process: BootProcess, requests: Sequence[bytes], readers: set[int]) -> _Phase:
    """Send the requests over ``CLIENTS`` kept connections; each must be answered with 200."""
    bodies: list[bytes] = [b""] * len(requests)
    latencies: list[float] = []
    numbers = itertools.count()
    before, began = _threads(process), time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        while (number := next(numbers)) < len(requests):
            sent = time.perf_counter()
            writer.write(requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            bodies[number] = await reader.readexactly(length)
            latencies.append(time.perf_counter() - sent)
            if b" 200 " not in head[:16]:
                raise RuntimeError(f"{head[:40]!r} {bodies[number][:200]!r}")
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    seconds, after = time.perf_counter() - began, _threads(process)
    used = {thread: cpu_s - before.get(thread, 0.0) for thread, cpu_s in after.items()}
    writer_s = sum(cpu_s for thread, cpu_s in used.items() if readers and thread not in readers)
    return _Phase(seconds, latencies, sum(used.values()), writer_s, bodies)


def _threads(process: BootProcess) -> dict[int, float]:
    """Return the CPU seconds of each thread of the server."""
    assert process.process is not None
    found = {}
    for task in Path(f"/proc/{process.process.pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found
