"""A virtual machine with the light agent: power, boot order, stages, fates."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from racksalt.lab.light import LightAgent
from racksalt.lab.machine import Bench, Machine, MachineSpec
from tests.support.boot_server import BootServer, kernel_script

LOCAL = "#!ipxe\nsanboot --no-describe --drive 0x80 || exit\n"
QUICK = 0.01


@contextlib.asynccontextmanager
async def a_lab(tmp_path, *names, pace=QUICK, **spec):
    """Give a boot server and machines of these names, and switch all off at the end."""
    server = BootServer()
    await server.start()
    bench = Bench(folder=tmp_path, boot_url=server.url, pace=pace)
    machines = [
        Machine(MachineSpec(id=name, agent="light", **spec), bench, LightAgent) for name in names
    ]
    try:
        yield server, *machines
    finally:
        for machine in machines:
            machine.power_off()
        await server.close()


def events(server):
    """Return the names of the reported events."""
    return [report["event"] for report in server.reports]


async def turn(condition, timeout_s=10):
    """Wait until ``condition()`` is true; for things that nobody announces."""

    async def wait():
        while not condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), timeout_s)


def test_a_boot_into_the_live_environment_reports_hardware_then_answers(tmp_path):
    """The machine asks by its own MAC, UUID and serial from its own address, and reports in order."""

    async def scenario():
        async with a_lab(tmp_path, "n1", source="127.9.8.7") as (server, machine):
            server.script = kernel_script(server.url, "n1")
            machine.power_on()
            await server.until(lambda: len(server.reports) == 2)
            assert events(server) == ["inventory_reported", "agent_answered"]
            assert server.reports[0]["data"] == machine.hardware
            assert server.asked[0]["mac"] == machine.hardware["nics"][0]["mac"]
            assert server.asked[0]["uuid"] == machine.hardware["system_uuid"]
            assert server.asked[0]["from"] == "127.9.8.7"
            assert machine.agent.is_up()

    asyncio.run(scenario())


def test_a_report_is_repeated_until_it_is_acknowledged(tmp_path):
    """Busy and broken answers are tried again under the same id; the report arrives once."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (server, machine):
            server.script = kernel_script(server.url, "n1")
            server.statuses = [503, 429, 500]
            machine.power_on()
            await server.until(lambda: len(server.reports) == 2)
            assert events(server) == ["inventory_reported", "agent_answered"]

    asyncio.run(scenario())


def test_a_report_that_is_refused_for_good_is_given_up(tmp_path):
    """A 4xx answer ends the attempts; the machine goes on."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (server, machine):
            server.script = kernel_script(server.url, "n1")
            server.statuses = [403]
            machine.power_on()
            await server.until(lambda: events(server) == ["agent_answered"])
            assert "refused (403 x)" in (tmp_path / "n1/console.log").read_text()

    asyncio.run(scenario())


def test_an_installed_system_boots_from_disk_and_stays_when_the_power_goes(tmp_path):
    """Only after the configure stage does a local boot work, and the first-boot token came along."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (server, machine):
            server.script = LOCAL
            machine.power_on()
            await server.until(lambda: len(server.asked) >= 2)
            assert machine.environment is None
            server.script = kernel_script(server.url, "n1", "installer")
            machine.power_cycle()
            await server.until(lambda: events(server) == ["agent_answered"])
            assert machine.agent.submit("1" * 20, "configure")
            await server.until(lambda: events(server)[-1] == "stage_succeeded")
            server.script = LOCAL
            machine.power_cycle()
            await server.until(lambda: events(server)[-1] == "agent_answered")
            await server.until(lambda: machine.environment is not None)
            assert machine.environment.name == "local"
            machine.set_boot_device("disk", persistent=False)
            asked = len(server.asked)
            machine.power_cycle()
            await turn(lambda: machine.environment is not None)
            assert len(server.asked) == asked

    asyncio.run(scenario())


def test_a_job_id_runs_once_and_is_lost_with_the_power(tmp_path):
    """The same job twice reports once; after a power cut the agent does not know it."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (server, machine):
            server.script = kernel_script(server.url, "n1")
            assert not machine.agent.submit("1" * 20, "bios")
            machine.power_on()
            await server.until(lambda: len(server.reports) == 2)
            assert machine.agent.outcome("1" * 20) == "lost"
            assert machine.agent.submit("1" * 20, "bios")
            assert machine.agent.outcome("1" * 20) == "running"
            assert machine.agent.submit("1" * 20, "bios")
            await server.until(lambda: len(server.reports) == 3)
            assert machine.agent.result("1" * 20) is None
            assert machine.agent.outcome("1" * 20) == "finished"
            machine.power_cycle()
            assert not machine.agent.is_up()
            await server.until(lambda: len(server.reports) == 5)
            assert machine.agent.outcome("1" * 20) == "lost"
            assert events(server).count("stage_succeeded") == 1

    asyncio.run(scenario())


def test_a_result_whose_report_is_refused_can_be_looked_up(tmp_path):
    """The result is kept for whoever asks, once the boot API has refused to hear it."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (server, machine):
            server.script = kernel_script(server.url, "n1")
            machine.power_on()
            await server.until(lambda: len(server.reports) == 2)
            server.statuses = [403]
            machine.agent.submit("1" * 20, "bios")
            await turn(lambda: machine.agent.result("1" * 20) is not None)
            assert machine.agent.result("1" * 20)["ok"]
            assert machine.agent.outcome("1" * 20) == "finished"

    asyncio.run(scenario())


def test_a_bad_disk_fails_burn_in_and_says_which(tmp_path):
    """The fate in the name makes the stage fail with the disk's name."""

    async def scenario():
        async with a_lab(tmp_path, "n1-bad-disk") as (server, machine):
            server.script = kernel_script(server.url, "n1-bad-disk")
            machine.power_on()
            await server.until(lambda: len(server.reports) == 2)
            machine.agent.submit("1" * 20, "burn_in")
            await server.until(lambda: len(server.reports) == 3)
            report = server.reports[2]
            assert report["event"] == "stage_failed"
            assert machine.hardware["disks"][0]["name"] in report["data"]["message"]

    asyncio.run(scenario())


def test_flapping_power_goes_off_by_itself_twice(tmp_path):
    """Two drops, then it stays on."""

    async def scenario():
        async with a_lab(tmp_path, "n1-flapping-power") as (server, machine):
            server.script = kernel_script(server.url, "n1-flapping-power")
            for _ in range(2):
                machine.power_on()
                await turn(lambda: machine.power_state() == "off")
            machine.power_on()
            reports = len(server.reports)
            await server.until(lambda: len(server.reports) >= reports + 2)
            assert (
                machine._drop.cancelled()
                or machine._drop.when() < asyncio.get_running_loop().time()
            )
            assert machine.power_state() == "on"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "starts"), [("n1-hangs-once", 2), ("n1-no-dhcp", 1), ("n1-rude", 1), ("n1", 1)]
)
def test_machines_that_misbehave_at_first_come_up_in_the_end(tmp_path, name, starts):
    """A firmware that hangs needs another power cycle; the others come up by themselves."""

    async def scenario():
        async with a_lab(tmp_path, name) as (server, machine):
            server.script = kernel_script(server.url, name)
            if machine.fate.rude:
                server.statuses = [400, 400, 400, 400, 200] * 2
            for _ in range(starts):
                machine.power_cycle()
                await asyncio.sleep(0.1 if starts > 1 else 0)
            await server.until(lambda: "agent_answered" in events(server))

    asyncio.run(scenario())


def test_an_imposter_has_the_macs_of_another_and_an_identity_of_its_own(tmp_path):
    """Same MACs, other UUID and serial."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (_, victim):
            spec = MachineSpec(id="n9-imposter", agent="light", disguise="n1")
            imposter = Machine(spec, victim.bench, LightAgent)
            assert imposter.hardware["nics"] == victim.hardware["nics"]
            assert imposter.hardware["system_uuid"] != victim.hardware["system_uuid"]
            assert imposter.hardware["serial"] != victim.hardware["serial"]

    asyncio.run(scenario())


def test_a_boot_choice_for_one_boot_is_used_up(tmp_path):
    """Firmware takes a one-time choice; a persistent one stays."""

    async def scenario():
        async with a_lab(tmp_path, "n1") as (_, machine):
            machine.set_boot_device("disk", persistent=False)
            assert machine.take_boot_device() == "disk"
            assert machine.get_boot_device() == ("none", False)
            machine.set_boot_device("network", persistent=True)
            assert machine.take_boot_device() == "network"
            assert machine.get_boot_device() == ("network", True)

    asyncio.run(scenario())
