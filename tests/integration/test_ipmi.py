"""The IPMI adapter against virtual BMCs on real ports, through real worker processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from racksalt.adapters.breaker import BreakerSettings
from racksalt.adapters.ipmi import BmcSettings, IpmiPower
from racksalt.lab.bmc import Fate, LabBmc, unobserved_actions
from racksalt.model.errors import BmcUnreachableError
from tests.support.bmc_rig import record, rig


@pytest.fixture(name="bmcs")
def bmcs_fixture(tmp_path):
    """Virtual BMCs on demand."""
    with rig(tmp_path) as made:
        yield made


@pytest.fixture(name="power")
def power_fixture(bmcs):
    """The adapter with its usual settings."""
    adapter = IpmiPower(bmcs.secrets)
    yield adapter
    adapter.close()


class Forgetful(LabBmc):
    """Carries out every power command and never answers one."""

    def handle(self, packet, peer):
        """Answer what is no power command."""
        before = len(self.machine.calls)
        answer = super().handle(packet, peer)
        return answer if len(self.machine.calls) == before else None


def _wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.02)


def test_an_action_without_an_answer_is_sent_once(bmcs, power):
    """The caller is told to observe; the BMC's log shows a single command."""
    [one] = bmcs.add(kind=Forgetful)
    with pytest.raises(BmcUnreachableError, match="observe before repeating"):
        power.on(record(one))
    assert power.observe(record(one)) == "on"
    assert one.machine.calls == ["on"]
    assert [entry["command"] for entry in bmcs.log.entries].count("power_on") == 1


def test_lost_packets_cost_time_and_repeat_no_action(bmcs):
    """With one packet in twenty lost, looks succeed and no power action is carried out unasked."""
    eight = bmcs.add(8, fate=Fate(drop_rate=0.05))
    settings = BmcSettings(breaker=BreakerSettings(failures=100))
    adapter = IpmiPower(bmcs.secrets, settings=settings)

    def switch_on(one):
        asked = 0
        for _ in range(6):
            try:
                if adapter.observe(record(one)) == "on":
                    return asked
                asked += 1
                adapter.on(record(one))
            except BmcUnreachableError:
                continue
        return asked

    try:
        with ThreadPoolExecutor(8) as threads:
            asked = list(threads.map(switch_on, eight))
    finally:
        adapter.close()
    assert [one.machine.power for one in eight] == ["on"] * 8
    for one, times in zip(eight, asked, strict=True):
        assert len(one.machine.calls) <= times
    assert unobserved_actions(list(bmcs.log.entries)) == []


def test_two_hundred_bmcs_from_many_threads_fail_nowhere(bmcs, power):
    """Three rounds from 32 threads: every answer right, one session each while homes are kept."""
    many = bmcs.add(200)
    for one in many[::3]:
        one.machine.power = "on"
    with ThreadPoolExecutor(32) as threads:
        for _ in range(3):
            seen = list(threads.map(power.observe, map(record, many)))
            assert seen == [one.machine.power for one in many]
    assert len(power._pool.pids()) <= 8
    sessions = Counter(entry["command"] for entry in bmcs.log.entries)
    assert sessions["get_chassis_status"] == 600


def test_dead_bmcs_delay_nobody_else(bmcs, power):
    """With a dozen dead BMCs being asked over and over, known good ones answer at once."""
    good, dead = bmcs.add(20), bmcs.add(12, fate=Fate(dead=True))
    for one in good:
        power.observe(record(one))
    slowest = 0.0
    with ThreadPoolExecutor(16) as threads:
        lost = [threads.submit(power.observe, record(one)) for one in dead]
        for one in good * 3:
            begun = time.monotonic()
            assert power.observe(record(one)) == "off"
            slowest = max(slowest, time.monotonic() - begun)
        for future in lost:
            with pytest.raises(BmcUnreachableError, match="no answer"):
                future.result()
    assert slowest < 1.5


PARENT = """
import sys, threading
from pathlib import Path
from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.ipmi import IpmiPower
from racksalt.model.node import Bmc
power = IpmiPower(BmcSecrets(Path(sys.argv[1])))
for port in sys.argv[2:]:
    power.observe(Bmc(node="n", protocol="ipmi", address="127.0.0.1", port=int(port),
                      username="admin", secret="file:right"))
print(*power._pool.pids(), flush=True)
threading.Event().wait()
"""


def test_a_killed_parent_leaves_no_worker_and_no_session(bmcs):
    """Kill -9 of the conductor: its workers end by themselves and log out."""
    three = bmcs.add(3)
    command = [sys.executable, "-c", PARENT, str(bmcs.secrets_file), *(str(b.port) for b in three)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        parent.kill()
    _wait_until(lambda: not any(_lives(pid) for pid in pids))
    _wait_until(lambda: not any(one.sessions.active(time.monotonic()) for one in three))


def _lives(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_lost_session_is_opened_again_to_look_and_never_to_act(bmcs, power):
    """After a reset of the BMC an action fails without effect, a look succeeds."""
    [one] = bmcs.add()
    bmc = record(one)
    power.observe(bmc)
    one.reset()
    with pytest.raises(BmcUnreachableError, match="observe before repeating"):
        power.on(bmc)
    assert one.machine.calls == []
    assert power.observe(bmc) == "off"
    one.reset()
    assert power.observe(bmc) == "off"
    power.on(bmc)
    assert one.machine.calls == ["on"]


def test_a_slow_bmc_is_waited_for_and_never_commanded_twice(bmcs, power):
    """Half a second and more for each packet is slow, not dead."""
    [one] = bmcs.add(fate=Fate(latency_s=0.6))
    bmc = record(one)
    assert power.observe(bmc) == "off"
    power.on(bmc)
    assert power.observe(bmc) == "on"
    one.fate.latency_s = 1.3
    assert power.observe(bmc) == "on"
    assert one.machine.calls == ["on"]
