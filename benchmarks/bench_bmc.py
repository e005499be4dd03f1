"""Power control of 200 virtual BMCs over loopback: seconds, failures, processor time on both sides, against ipmitool.

The BMCs run in a process of their own: ``python -m benchmarks.bench_bmc`` serves them until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks import Figure, size
from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.breaker import BreakerSettings
from racksalt.adapters.ipmi import BmcSettings, IpmiPower
from racksalt.lab.bmc import CommandLog, Fate, LabBmc
from racksalt.model.errors import BmcError
from racksalt.model.node import Bmc

COUNT, DEAD, THREADS = size("BMCS", 200), 10, 32
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class _Machine:
    def __init__(self) -> None:
        self.power = "off"
        self.boot = ("none", False)

    def power_state(self) -> str:
        return self.power

    def power_on(self) -> None:
        self.power = "on"

    def power_off(self) -> None:
        self.power = "off"

    def power_cycle(self) -> None:
        self.power = "on"

    def set_boot_device(self, device: str, persistent: bool) -> None:
        self.boot = (device, persistent)

    def get_boot_device(self) -> tuple[str, bool]:
        return self.boot


async def _serve(password: str) -> None:
    log = CommandLog()
    bmcs = [
        LabBmc(f"n{i}", _Machine(), "admin", password, command_log=log, fate=Fate(dead=i < DEAD))
        for i in range(COUNT + DEAD)
    ]
    for bmc in bmcs:
        await bmc.start()
    print(json.dumps([bmc.port for bmc in bmcs]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def _bmcs(password: str) -> Iterator[tuple[int, list[int]]]:
    """Start the BMCs; gives their process id and ports, the dead ones first."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_bmc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(password + "\n")
        process.stdin.flush()
        yield process.pid, json.loads(process.stdout.readline())
        process.stdin.close()


def _cpu_s(*pids: int) -> float:
    """Return the processor seconds that processes have used, their ended children included."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_S


class _Stage:
    """Runs one operation on all BMCs and notes what it took."""

    def __init__(self, power: IpmiPower, server: int, bmcs: list[Bmc]) -> None:
        self.power, self.server, self.bmcs = power, server, bmcs
        self.failures = 0

    def _client_s(self) -> float:
        return _cpu_s(os.getpid(), *self.power._pool.pids())  # noqa: SLF001 - measures what nobody else may see

    def sweep(self, do: Callable[[Bmc], object], rounds: int = 1) -> tuple[float, float, float]:
        """Return seconds per sweep, and CPU milliseconds per operation of client and BMC."""

        def one(bmc: Bmc) -> int:
            try:
                do(bmc)
            except BmcError:
                return 1
            return 0

        client, server, begun = self._client_s(), _cpu_s(self.server), time.perf_counter()
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in range(rounds):
                self.failures += sum(threads.map(one, self.bmcs))
        took = (time.perf_counter() - begun) / rounds
        each = 1000 / rounds / len(self.bmcs)
        return took, (self._client_s() - client) * each, (_cpu_s(self.server) - server) * each


def _ipmitool_ms(port: int, password: str, home: str, rounds: int = 10) -> float:
    """Return the CPU milliseconds of one ``ipmitool power status``."""
    where = ["-I", "lanplus", "-H", "127.0.0.1", "-p", str(port), "-U", "admin", "-E", "-C", "3"]
    before = os.times()
    for _ in range(rounds):
        subprocess.run(
            ["ipmitool", *where, "power", "status"],
            env={"PATH": os.environ["PATH"], "HOME": home, "IPMI_PASSWORD": password},
            check=True,
            capture_output=True,
        )
    after = os.times()
    spent = after.children_user + after.children_system
    return (spent - before.children_user - before.children_system) * 1000 / rounds


def _against_ipmitool(port: int, password: str, folder: Path, own_ms: float) -> list[Figure]:
    if not shutil.which("ipmitool"):
        return []
    short = folder / ".local/usr/share/misc/enterprise-numbers.txt"
    short.parent.mkdir(parents=True)
    short.write_text("0\n  Reserved\n    nobody\n      nobody&example.org\n")
    plain = _ipmitool_ms(port, password, "/nonexistent")
    quick = _ipmitool_ms(port, password, str(folder))
    return [
        Figure("ipmitool power status, as installed", plain, "CPU ms/op"),
        Figure("ipmitool with a short list of makers", quick, "CPU ms/op"),
        Figure("ipmitool to kept session", plain / own_ms, "x CPU"),
        Figure("ipmitool with a short list to kept session", quick / own_ms, "x CPU"),
    ]


def _with_dead(stage: _Stage, dead: list[Bmc]) -> list[Figure]:
    """Sweep the good BMCs while every dead one is being asked."""
    with ThreadPoolExecutor(len(dead)) as threads:
        asked = [threads.submit(stage.power.observe, bmc) for bmc in dead]
        took, *_ = stage.sweep(stage.power.observe)
        waiting = sum(not one.done() for one in asked)
        lost = sum(one.exception() is not None for one in asked)
    assert lost == len(dead)
    return [
        Figure(f"status sweep beside {waiting} dead BMCs", took, "s", "as without"),
    ]


def measure() -> list[Figure]:
    """Measure logins, status with kept sessions, power on, a sweep beside dead BMCs, and ipmitool."""
    password = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as name, _bmcs(password) as (server, ports):
        folder = Path(name)
        file = folder / "secrets.json"
        file.touch(0o600)
        file.write_text(json.dumps({"lab": password}))
        # No rate limit here: it is the cost of an operation that is measured.
        settings = BmcSettings(breaker=BreakerSettings(interval_s=0.0, failures=1000))
        power = IpmiPower(BmcSecrets(file), settings=settings)
        try:
            return _figures(power, server, ports, password, folder)
        finally:
            power.close()


def _figures(
    power: IpmiPower, server: int, ports: list[int], password: str, folder: Path
) -> list[Figure]:
    known = [
        Bmc(
            node=f"n{i}",
            protocol="ipmi",
            address="127.0.0.1",
            port=port,
            username="admin",
            secret="file:lab",  # noqa: S106 - a name, not a password
        )
        for i, port in enumerate(ports)
    ]
    power.observe(known[DEAD])  # starts the first worker
    stage = _Stage(power, server, known[DEAD:])
    first_s, login_ms, _ = stage.sweep(power.observe)
    sweep_s, status_ms, bmc_ms = stage.sweep(power.observe, rounds=5)
    _, on_ms, bmc_on_ms = stage.sweep(power.on)
    return [
        Figure(f"first sweep of {COUNT} BMCs, with login", first_s, "s"),
        Figure(f"status sweep of {COUNT} BMCs", sweep_s, "s", "1000 in 10 s"),
        Figure("failed operations", stage.failures, "", "0"),
        Figure("worker processes", len(power._pool.pids()), ""),  # noqa: SLF001 - see above
        Figure("login and status, client", login_ms, "CPU ms/op"),
        Figure("status, client", status_ms, "CPU ms/op", "<= 2"),
        Figure("status, BMC", bmc_ms, "CPU ms/op", "<= 1"),
        Figure("power on, client", on_ms, "CPU ms/op", "<= 10"),
        Figure("power on, BMC", bmc_on_ms, "CPU ms/op", "<= 1"),
        *_with_dead(stage, known[:DEAD]),
        *_against_ipmitool(ports[DEAD], password, folder, status_ms),
    ]


if __name__ == "__main__":
    # The password comes over the pipe, like everywhere.
    asyncio.run(_serve(sys.stdin.readline().strip()))
