"""One power sweep over 200 virtual BMCs, every tenth in trouble, and Redfish on kept connections against new ones.

The BMCs run in a process of their own: ``python -m benchmarks.bench_bmc_sweep`` serves them until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import Figure, size
from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.ipmi import IpmiPower
from racksalt.adapters.redfish import RedfishPower
from racksalt.adapters.redfish_client import RedfishClient
from racksalt.lab.bmc import Fate, LabBmc
from racksalt.lab.fates import fate_of
from racksalt.lab.host import bmc_fate
from racksalt.lab.redfish import RedfishFront
from racksalt.lab.redfish_bmc import RedfishBmc
from racksalt.lab.redfish_tls import lab_certificate
from racksalt.model.errors import BmcError
from racksalt.model.node import Bmc

COUNT, REDFISH = size("BMCS", 200), 50
TROUBLES = ("lossy-bmc", "full-bmc", "slow-bmc", "dead-bmc")
THREADS, ROUNDS = 16, 200


class _Machine:
    """A power rail."""

    def __init__(self) -> None:
        self.power, self.boot, self.starts = "on", ("none", False), 0

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


def _trouble(number: int) -> str:
    """Every tenth BMC is in trouble, in turn."""
    return TROUBLES[number // 10 % len(TROUBLES)] if number % 10 == 0 else ""


async def _serve(password: str, folder: Path) -> None:
    ports = []
    for number in range(COUNT):
        fate = bmc_fate(fate_of(_trouble(number))) if _trouble(number) else Fate()
        bmc: Any = LabBmc(f"n{number}", _Machine(), "admin", password, fate=fate)
        await bmc.start()
        ports.append(bmc.port)
    front = RedfishFront(lab_certificate(folder))
    web = [front.add(RedfishBmc(f"w{i}", _Machine(), "admin", password)) for i in range(REDFISH)]
    await front.start()
    print(json.dumps({"ipmi": ports, "redfish": web}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await front.close()


@contextmanager
def _bmcs(password: str, folder: Path) -> Iterator[dict[str, list[int]]]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_bmc_sweep", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(password + "\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def _record(protocol: Any, port: int) -> Bmc:
    return Bmc(
        node=f"{protocol}{port}",
        protocol=protocol,
        address="127.0.0.1",
        port=port,
        username="admin",
        secret="file:lab",  # noqa: S106 - a name, not a password
    )


def _sweep(observe: Callable[[Bmc], object], bmcs: list[Bmc]) -> tuple[float, list[float], int]:
    """Ask all; return the seconds in all, those until each good answer, and how many failed."""
    begun = time.perf_counter()

    def one(bmc: Bmc) -> float | None:
        try:
            observe(bmc)
        except BmcError:
            return None
        return time.perf_counter() - begun

    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(one, bmcs))
    good = [answer for answer in answers if answer is not None]
    return time.perf_counter() - begun, good, len(answers) - len(good)


def _ipmi(secrets_file: BmcSecrets, ports: list[int]) -> list[Figure]:
    power = IpmiPower(secrets_file)
    records = [_record("ipmi", port) for port in ports]
    good = [bmc for number, bmc in enumerate(records) if not _trouble(number)]
    bad = [bmc for number, bmc in enumerate(records) if _trouble(number)]
    try:
        alone_s, _, _ = _sweep(power.observe, good)
        first_s, _, first_failed = _sweep(power.observe, good + bad)
        again_s, answered, failed = _sweep(power.observe, good + bad)
    finally:
        power.close()
    beside_s = sorted(answered)[len(good) - 1]
    return [
        Figure(f"IPMI: {len(good)} good BMCs, with login", alone_s, "s"),
        Figure(f"IPMI: {COUNT} BMCs, {len(bad)} in trouble, first sweep", first_s, "s"),
        Figure("  failed", first_failed, "", f"<= {len(bad)}"),
        Figure("IPMI: the same, next sweep", again_s, "s"),
        Figure("  good ones answered after", beside_s, "s", "as without"),
        Figure("  failed", failed, "", f"<= {len(bad)}"),
    ]


def _redfish(secrets_file: BmcSecrets, ports: list[int], password: str, pin: str) -> list[Figure]:
    power = RedfishPower(secrets_file)
    records = [_record("redfish", port) for port in ports]
    try:
        login_s, _, login_failed = _sweep(power.observe, records)
        kept_s, _, kept_failed = _sweep(power.observe, records)
    finally:
        power.close()
    kept = RedfishClient("127.0.0.1", ports[0], "admin", password, pin)
    kept_ms = _cpu_ms(kept.observe)
    kept.close()

    def anew() -> None:
        client = RedfishClient("127.0.0.1", ports[0], "admin", password, pin)
        client.observe()
        client.close()

    new_ms = _cpu_ms(anew, ROUNDS // 10)
    return [
        Figure(f"Redfish: {REDFISH} BMCs, with TLS and login", login_s, "s"),
        Figure(f"Redfish: {REDFISH} BMCs, connections kept", kept_s, "s"),
        Figure("  failed", login_failed + kept_failed, "", "0"),
        Figure("Redfish: status on a kept connection, client", kept_ms, "CPU ms/op"),
        Figure("Redfish: connection, login, status, log-out, client", new_ms, "CPU ms/op"),
    ]


def _cpu_ms(do: Callable[[], object], rounds: int = ROUNDS) -> float:
    do()
    before = time.process_time()
    for _ in range(rounds):
        do()
    return (time.process_time() - before) * 1000 / rounds


def measure() -> list[Figure]:
    """Measure sweeps over good BMCs and over those in trouble, and Redfish with and without kept connections."""
    password = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pin = lab_certificate(folder).sha256
        with _bmcs(password, folder) as ports:
            file = folder / "secrets.json"
            file.touch(0o600)
            entry = {"password": password, "certificate_sha256": pin}
            file.write_text(json.dumps({"lab": entry}))
            known = BmcSecrets(file)
            return _ipmi(known, ports["ipmi"]) + _redfish(known, ports["redfish"], password, pin)


if __name__ == "__main__":
    # The password comes over the pipe, like everywhere.
    asyncio.run(_serve(sys.stdin.readline().strip(), Path(sys.argv[1])))
