"""All machines of a lab in one process: what the site declares, with its BMCs, on loopback.

``python -m racksalt.lab --site pillar --secrets bmc.yaml --boot-url http://… --folder /tmp/lab`` runs until it is
told to stop. Whatever runs then ends with it. It survives any number of restarts of master, boot API and conductor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import getpass
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.site_files import SiteFolder
from racksalt.garbage import collect_seldom
from racksalt.lab.bmc import CommandLog, Fate, LabBmc
from racksalt.lab.fates import Fate as MachineFate
from racksalt.lab.light import LightAgent
from racksalt.lab.link import LinkServer
from racksalt.lab.machine import Agent, Bench, Machine, MachineSpec
from racksalt.lab.minion_agent import MinionAgent
from racksalt.lab.minions import Minions
from racksalt.model.errors import InvalidInputError
from racksalt.model.node import Bmc
from racksalt.open_files import allow_many
from racksalt.site.schema import Declarations

if TYPE_CHECKING:
    from racksalt.lab.redfish import RedfishFront

FIRST_SOURCE = (127, 64, 0, 10)
"""The address from which the first machine calls; the others follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPlan:
    """What to run. ``extras`` are machines that nobody declared: they have no BMC and start by themselves.

    ``pace`` stretches or shortens the waits of firmware and light agents; a stage takes a light agent ``stage_s``.
    """

    folder: Path
    site: Path
    secrets: Path
    boot_url: str
    pace: float = 1.0
    post_s: float = 1.0
    stage_s: float = 0.5
    extras: tuple[str, ...] = ()
    keep_logs: bool = True
    link: tuple[str, int] | None = None
    """Where to take power and jobs for simulated BMCs and light agents; None: where the site's BMCs say."""


class LabHost:
    """Machines and BMCs by node id."""

    def __init__(self, plan: LabPlan) -> None:
        self.plan = plan
        self.machines: dict[str, Machine] = {}
        self.bmcs: dict[str, LabBmc] = {}
        self.link = LinkServer(self.machines)
        self.acknowledged_s: list[float] = []
        self.front: RedfishFront | None = None
        self._minions: Minions | None = None
        plan.folder.mkdir(parents=True, exist_ok=True)
        self._log = CommandLog(plan.folder / "bmc.log")

    async def start(self) -> None:
        """Put all machines up, switched off, and bind their BMCs; start those that nobody declared.

        Raises InvalidInputError for a site that cannot be run here.
        """
        plan = self.plan
        allow_many()
        declared = SiteFolder(plan.site).declarations()
        specs = _specs(declared, plan.extras)
        if any(spec.agent == "salt" for spec in specs):
            self._minions = await Minions.open(plan.folder / "nursery.log")
        bench = Bench(
            folder=plan.folder,
            boot_url=plan.boot_url.rstrip("/"),
            pace=plan.pace,
            post_s=plan.post_s,
            keep_logs=plan.keep_logs,
            acknowledged_s=self.acknowledged_s,
        )
        for number, spec in enumerate(specs):
            named = _with_source(spec, number)
            self.machines[spec.id] = Machine(
                named, bench, functools.partial(self._agent, spec.agent)
            )
        await self._bind(declared)
        for name in plan.extras:
            self.machines[name].power_on()

    async def close(self) -> None:
        """Cut all power; return when nothing runs any more."""
        for machine in self.machines.values():
            machine.power_off()
        for bmc in self.bmcs.values():
            bmc.close()
        if self.front is not None:
            await self.front.close()
        await self.link.close()
        if self._minions is not None:
            await self._minions.close()
        self._log.close()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return power and booted environment of each machine."""
        return {
            name: {
                "power": machine.power_state(),
                "environment": machine.environment.name if machine.environment else None,
            }
            for name, machine in self.machines.items()
        }

    def _agent(self, kind: str, machine: Machine) -> Agent:
        if kind == "light":
            return LightAgent(machine, self.plan.stage_s)
        assert self._minions is not None
        return MinionAgent(machine, self._minions)

    async def _bind(self, declared: Declarations) -> None:
        secrets = BmcSecrets(self.plan.secrets)
        links = {self.plan.link} if self.plan.link else set()
        for node in declared.nodes.values():
            if node.bmc is None:
                continue
            if node.bmc.protocol == "simulated":
                links.add((node.bmc.address, node.bmc.port))
            elif node.bmc.protocol == "ipmi":
                await self._bind_ipmi(node.bmc, secrets.resolve(node.bmc.secret).password)
            else:
                self._bind_redfish(node.bmc, secrets.resolve(node.bmc.secret).password)
        if self.front is not None:
            await self.front.start()
        if len(links) > 1:
            raise InvalidInputError(
                "simulated BMCs at more than one address", "one lab, one address"
            )
        for host, port in links:
            await self.link.start(host, port)

    async def _bind_ipmi(self, bmc: Bmc, password: str) -> None:
        machine = self.machines[bmc.node]
        fate = bmc_fate(machine.fate)
        server = LabBmc(bmc.node, machine, bmc.username, password, command_log=self._log, fate=fate)
        await server.start(bmc.address, bmc.port)
        self.bmcs[bmc.node] = server

    def _bind_redfish(self, bmc: Bmc, password: str) -> None:
        if self.front is None:
            # Loaded where a BMC needs it: a web server and TLS are not for every lab.
            from racksalt.lab.redfish import RedfishFront
            from racksalt.lab.redfish_tls import lab_certificate

            self.front = RedfishFront(lab_certificate(self.plan.folder))
        machine = self.machines[bmc.node]
        self.front.bind(bmc, password, machine, bmc_fate(machine.fate), self._log)


def bmc_fate(fate: MachineFate) -> Fate:
    """Return what of a machine's fate is its BMC's."""
    return Fate(
        latency_s=fate.bmc_delay_s,
        drop_rate=fate.bmc_drop_rate,
        dead=fate.bmc_dead,
        refuse_sessions=fate.bmc_full,
        lie_rate=fate.bmc_lie_rate,
        says=fate.bmc_says,
    )


def _specs(declared: Declarations, extras: Sequence[str]) -> list[MachineSpec]:
    """Return the machines of a site, and those that nobody declared."""
    specs = [
        MachineSpec(
            id=node.id, agent=node.agent, declared={"serial": node.serial, "macs": list(node.macs)}
        )
        for node in declared.nodes.values()
    ]
    victim = next(iter(declared.nodes.values()), None)
    agent = victim.agent if victim else "salt"
    for name in extras:
        if name in declared.nodes:
            raise InvalidInputError(
                f"{name} is declared already", "give the extra machine another name"
            )
        disguised = name.endswith("imposter") and victim is not None
        copied = {"macs": list(victim.macs)} if disguised and victim else {}
        disguise = victim.id if disguised and victim else None
        specs.append(MachineSpec(id=name, agent=agent, declared=copied, disguise=disguise))
    return specs


def _with_source(spec: MachineSpec, number: int) -> MachineSpec:
    """Give the machine an address of its own where any loopback address may be used (Linux)."""
    if sys.platform != "linux":
        return spec
    a, b, c, d = FIRST_SOURCE
    rest = d + number
    source = f"{a}.{b + rest // 65_000}.{c + rest % 65_000 // 250}.{1 + rest % 250}"
    return MachineSpec(
        id=spec.id, agent=spec.agent, declared=spec.declared, disguise=spec.disguise, source=source
    )


async def run(plan: LabPlan, *, follow_input: bool) -> None:
    """Run a lab until SIGTERM or SIGINT, or with ``follow_input`` until the standard input ends.

    With ``follow_input`` each line of it is a wish (``on NODE``, ``off NODE``, ``status``, ``timings``), answered by
    one line of JSON on the standard output.
    """
    os.umask(0o077)
    collect_seldom()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = LabHost(plan)
    wishes: asyncio.Task[None] | None = None
    try:
        await host.start()
        _tell({"ready": True, "machines": len(host.machines), "user": getpass.getuser()})
        if follow_input:
            wishes = loop.create_task(_follow(host, stop))
        await stop.wait()
    finally:
        if wishes is not None:
            wishes.cancel()
        await host.close()


async def _follow(host: LabHost, stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        wish, _, name = line.decode().strip().partition(" ")
        machine = host.machines.get(name)
        if wish == "status":
            _tell(host.status())
        elif wish == "timings":
            _tell({"acknowledged_s": [round(taken, 4) for taken in host.acknowledged_s]})
        elif machine is not None and wish in {"on", "off"}:
            machine.power_on() if wish == "on" else machine.power_off()
            _tell({name: machine.power_state()})
        else:
            _tell({"error": f"on NODE, off NODE, status or timings, not {line.decode().strip()!r}"})
    stop.set()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a lab from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="racksalt lab run", description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="folder with site/*.yaml")
    parser.add_argument("--secrets", type=Path, required=True, help="file with the BMC passwords")
    parser.add_argument("--boot-url", required=True, help="base address of the boot API")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where machines keep their files"
    )
    parser.add_argument("--pace", type=float, default=1.0, help="below 1: waits are shorter")
    parser.add_argument("--post-s", type=float, default=1.0, help="seconds of power-on self-test")
    parser.add_argument(
        "--stage-s", type=float, default=0.5, help="seconds of a light agent's stage"
    )
    parser.add_argument("--extra", action="append", default=[], help="an undeclared machine")
    parser.add_argument("--link", help="host:port for power and jobs of light machines")
    parser.add_argument("--no-logs", action="store_true", help="keep no console logs")
    parser.add_argument("--follow-input", action="store_true", help="obey and end with the input")
    asked = parser.parse_args(arguments)
    plan = LabPlan(
        folder=asked.folder.resolve(),
        site=asked.site,
        secrets=asked.secrets,
        boot_url=asked.boot_url,
        pace=asked.pace,
        post_s=asked.post_s,
        stage_s=asked.stage_s,
        extras=tuple(asked.extra),
        keep_logs=not asked.no_logs,
        link=_address(asked.link) if asked.link else None,
    )
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(run(plan, follow_input=asked.follow_input))
        except (InvalidInputError, OSError) as error:
            sys.stderr.write(f"racksalt lab: {error}\n")
            return 1
    return 0
