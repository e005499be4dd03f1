from __future__ import annotations

import asyncio
import logging

import pytest

from racksalt.lab import rmcp
from racksalt.lab.bmc import CommandLog, Fate, LabBmc, read_log, unobserved_actions
from tests.support.rmcp_console import PEER, Console, FakeMachine

SUITES = pytest.mark.parametrize("suite", rmcp.SUITES, ids=["suite 3", "suite 17"])
SUITE = rmcp.SUITES[1]
POWER_ON = (0x00, 0x02, b"\x01")


class Ticker:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def machine():
    """A machine that is off."""
    return FakeMachine()


@pytest.fixture
def clock():
    """A clock of one's own."""
    return Ticker()


@pytest.fixture
def bmc(machine, clock):
    """A BMC without a socket."""
    return LabBmc("n1", machine, "admin", "secret", clock=clock, wall_clock=lambda: 5.0)


@SUITES
def test_a_console_with_the_password_controls_the_power(bmc, machine, suite):
    """Log in, look, switch on, look again."""
    console = Console(bmc, suite).login()
    assert console.bmc_knows_password
    assert console.command(0x00, 0x01) == (0, b"\x00\x00\x00")
    assert console.command(*POWER_ON) == (0, b"")
    assert console.command(0x00, 0x01) == (0, b"\x01\x00\x00")
    assert machine.calls == ["on"]


def test_a_replayed_packet_is_ignored(bmc, machine):
    """The same packet again has no effect and no answer."""
    console = Console(bmc, SUITE).login()
    packet = console.packet(*POWER_ON)
    assert console.exchange(packet)
    machine.power = "off"
    assert console.exchange(packet) is None
    assert machine.power == "off"


def test_a_retransmission_is_answered_and_not_carried_out_again(bmc, machine):
    """Same request number under a new session sequence number: the console did not get the answer."""
    console = Console(bmc, SUITE).login()
    first = console.command(0x00, 0x02, b"\x02")
    assert first == (0xD5, b"")
    machine.power = "on"
    console.command(0x00, 0x02, b"\x02")
    console.rq_sequence -= 1
    assert console.command(0x00, 0x02, b"\x02") == (0, b"")
    assert machine.calls == ["cycle"]
    assert bmc.counts["repeated"] == 1


def test_nothing_that_needs_a_session_is_answered_without_one(bmc, machine):
    """In both clear formats, every command but the three that the standard opens is ignored."""
    answered = set()
    for netfn in range(0, 64, 2):
        for command in range(256):
            request = rmcp.build_request(rmcp.Request(netfn, command, b"\x01"))
            for legacy in (True, False):
                packet = rmcp.plain_frame(rmcp.IPMI_PAYLOAD, request, legacy=legacy)
                if bmc.handle(packet, PEER):
                    answered.add((netfn, command))
    assert answered == {(0x06, 0x37), (0x06, 0x38), (0x06, 0x54)}
    assert machine.calls == []


def test_every_command_of_a_session_is_logged(machine, tmp_path):
    """Memory and file tell the same: time, BMC, what was asked, session, completion code."""
    path = tmp_path / "bmc.jsonl"
    log = CommandLog(path)
    bmc = LabBmc("n1", machine, "admin", "secret", command_log=log, wall_clock=lambda: 5.0)
    console = Console(bmc, SUITE).login()
    console.command(0x00, 0x08, b"\x05\x80\x04\x00\x00\x00")
    console.command(*POWER_ON)
    log.close()
    names = [entry["command"] for entry in log.of("n1")]
    assert names == ["set_session_privilege", "boot_network", "power_on"]
    assert read_log(path) == list(log.entries)
    assert log.entries[-1] == {
        "at": 5.0, "bmc": "n1", "command": "power_on", "session": console.session, "code": 0
    }  # fmt: skip


def test_a_log_line_cut_short_is_left_out(tmp_path):
    """A log of a killed lab is still readable."""
    path = tmp_path / "bmc.jsonl"
    path.write_text(
        '{"at": 1.0, "bmc": "n1", "command": "power_on", "session": 1, "code": 0}\n{"at"'
    )
    assert [entry["command"] for entry in read_log(path)] == ["power_on"]


def test_actions_without_a_look_are_found():
    """Each BMC's power has to be looked at before it is acted on, and again after that; a restart forgets all looks."""

    def entries(*commands):
        return [
            {"at": float(at), "bmc": bmc, "command": name, "session": 1, "code": 0}
            for at, (bmc, name) in enumerate(commands)
        ]

    look = [("a", "get_chassis_status"), ("b", "get_chassis_status")]
    fine = entries(*look, ("a", "power_on"), ("b", "power_on"), *look, ("a", "power_off"))
    assert unobserved_actions(fine) == []
    assert unobserved_actions(fine, restarts=[5.5]) == [fine[-1]]
    bad = entries(*look, ("a", "power_on"), ("a", "get_device_id"), ("a", "power_off"))
    assert unobserved_actions(bad) == [bad[-1]]


def test_a_machine_that_fails_does_not_break_its_bmc(bmc, machine, caplog):
    """The command gets FFh, the session lives on."""
    console = Console(bmc, SUITE).login()
    machine.power_on = lambda: 1 / 0
    with caplog.at_level(logging.CRITICAL):
        assert console.command(*POWER_ON) == (0xFF, b"")
    assert console.command(0x00, 0x01)[0] == 0


def test_a_reset_bmc_has_lost_its_sessions(bmc):
    """After a reset old sessions get no answer and new ones work."""
    console = Console(bmc, SUITE).login()
    bmc.reset()
    assert console.exchange(console.packet(0x00, 0x01)) is None
    Console(bmc, SUITE).login()


PING = bytes.fromhex("06 00 ff 06 00 00 11 be 80 01 00 00")


class Listener(asyncio.DatagramProtocol):
    """Keeps what comes in, with the time."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data, addr) -> None:
        """Keep it."""
        self.answers.put_nowait(data)


async def _ping(bmc: LabBmc, times: int, patience_s: float) -> tuple[int, float]:
    """Return how many of ``times`` pings were answered and after how long the last answer came."""
    loop = asyncio.get_running_loop()
    await bmc.start()
    transport, listener = await loop.create_datagram_endpoint(
        Listener, remote_addr=(bmc.host, bmc.port)
    )
    begun, last, count = loop.time(), 0.0, 0
    try:
        for _ in range(times):
            transport.sendto(PING)
        while count < times:
            await asyncio.wait_for(listener.answers.get(), patience_s)
            last, count = loop.time() - begun, count + 1
    except asyncio.TimeoutError:
        pass
    finally:
        transport.close()
        bmc.close()
    return count, last


def test_a_bmc_on_its_port_answers_as_its_fate_allows(bmc):
    """Healthy: all and at once; slow: all but late; lossy: some; dead: none."""
    assert asyncio.run(_ping(bmc, 40, 5.0))[0] == 40
    bmc.fate = Fate(latency_s=0.2)
    count, after_s = asyncio.run(_ping(bmc, 5, 5.0))
    assert count == 5
    assert after_s >= 0.2
    bmc.fate = Fate(drop_rate=0.5)
    assert 0 < asyncio.run(_ping(bmc, 60, 0.3))[0] < 40
    bmc.fate = Fate(dead=True)
    assert asyncio.run(_ping(bmc, 5, 0.3))[0] == 0
