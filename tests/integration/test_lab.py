"""A machine with a real salt-minion against a real master: boots, proves, dies with its power."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from racksalt.adapters.site_files import write_site
from racksalt.boot.tokens import proof
from racksalt.lab.host import LabHost, LabPlan
from racksalt.lab.installation import lay_out, salt_nodes, start_lab
from racksalt.lab.processes import free_ports
from racksalt.lab.salt_master import LabMaster
from racksalt.model.errors import InvalidInputError
from tests.support.boot_server import TOKEN, BootServer, kernel_script
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def an_installation(root, *names):
    """Lay out a lab with machines of these names."""
    installation = lay_out(root, ports=free_ports(2))
    ports = free_ports(len(names), socket.SOCK_DGRAM)
    write_site(installation.site, salt_nodes(dict(zip(names, ports, strict=True)), 2))
    return installation


@contextlib.asynccontextmanager
async def a_host(root, *names, **more):
    """Run a lab in this process, with a boot server that says what the test wants."""
    server = BootServer()
    await server.start()
    installation = an_installation(root, *names)
    host = LabHost(
        LabPlan(
            folder=installation.lab,
            site=installation.site,
            secrets=installation.bmc_secrets,
            boot_url=server.url,
            pace=0.2,
            **more,
        )
    )
    try:
        await host.start()
        yield server, host
    finally:
        await host.close()
        await server.close()


def minions_of(root):
    """Return the pids of minions whose roots are below ``root``, by their open log."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "fd/1").readlink().is_relative_to(root / "n"):
                found.append(int(entry.name))
    return found


async def turn(condition, timeout_s):
    """Wait for a condition without holding up the lab."""
    assert await asyncio.to_thread(wait_for, condition, timeout_s) is not None


def test_a_machine_boots_a_minion_that_proves_itself_and_dies_with_the_power(short_root):
    """The pending key is the proven one; accepted it answers; off, the process and its memory are gone."""
    master = LabMaster(short_root / "m", overrides={"auto_accept": False})
    master.start()
    try:
        master.wait_ready()
        asyncio.run(_boot_and_cut(short_root, master))
    finally:
        master.stop()


async def _boot_and_cut(root, master):
    async with a_host(root, "m1") as (server, host):
        server.script = kernel_script(server.url, "m1", master=master.address, finger=master.finger)
        machine = host.machines["m1"]
        machine.power_on()
        pki = master.root / "pki"
        await turn((pki / "minions_pre" / "m1").exists, 60)
        await server.until(lambda: server.reports, 20)
        assert server.reports[0]["event"] == "inventory_reported"
        pending = (pki / "minions_pre" / "m1").read_text()
        ram = machine.folder / "ram1"
        assert proof(TOKEN, "m1", pending) in (ram / "etc/salt/minion").read_text()
        (pki / "minions").mkdir(exist_ok=True)
        (pki / "minions_pre" / "m1").rename(pki / "minions" / "m1")
        await turn(lambda: "test.ping" in _asked(master), 90)
        (pid,) = minions_of(root)
        machine.power_off()
        await turn(lambda: not Path(f"/proc/{pid}").exists(), 5)
        await turn(lambda: not ram.exists(), 5)
        machine.power_on()
        await turn(lambda: minions_of(root), 20)
        assert minions_of(root) != [pid]


def _asked(master):
    import salt.client

    with salt.client.LocalClient(mopts=master.opts) as client:
        answer = client.cmd("m1", "test.ping", timeout=5)
    return "test.ping" if answer == {"m1": True} else ""


def test_minions_die_with_the_lab_however_it_ends(short_root):
    """Kill -9 of the lab process alone ends every minion that it had started."""
    installation = an_installation(short_root, "m1", "m2")
    # No boot API answers: the machines boot from disk, where an install has left a minion.
    for name in ("m1", "m2"):
        conf = installation.lab / name / "disk/etc/salt"
        conf.mkdir(parents=True)
        (conf / "minion").write_text(f"id: {name}\nmaster: 127.0.0.1\nmaster_port: 9\n")
    with start_lab(installation, "--pace", "0.1") as lab:
        for name in ("m1", "m2"):
            assert lab.say(f"on {name}") == {name: "on"}
        assert wait_for(lambda: len(minions_of(short_root)) == 2, 60) is not None
        assert lab.say("status")["m1"] == {"power": "on", "environment": "local"}
        assert "error" in lab.say("dance")
        os.kill(lab.pid, signal.SIGKILL)
        assert wait_for(lambda: not minions_of(short_root), 10) is not None


def test_extra_machines_start_by_themselves_and_may_be_imposters(short_root):
    """An undeclared machine is on at once; an imposter has the MACs of the first declared node."""

    async def scenario():
        async with a_host(short_root, "m1", extras=("stray", "m9-imposter")) as (_, host):
            assert host.status()["m1"]["power"] == "off"
            assert host.status()["stray"]["power"] == "on"
            imposter, victim = host.machines["m9-imposter"], host.machines["m1"]
            assert imposter.hardware["nics"] == victim.hardware["nics"]
            assert imposter.hardware["serial"] != victim.hardware["serial"]

    asyncio.run(scenario())


def test_what_the_lab_cannot_run_is_refused(short_root):
    """A name that is taken is named."""
    installation = an_installation(short_root, "m1")
    plan = {
        "folder": installation.lab,
        "site": installation.site,
        "secrets": installation.bmc_secrets,
        "boot_url": "http://127.0.0.1:9",
    }

    async def start(**more):
        host = LabHost(LabPlan(**plan, **more))
        try:
            await host.start()
        finally:
            await host.close()

    with pytest.raises(InvalidInputError, match="m1 is declared already"):
        asyncio.run(start(extras=("m1",)))
