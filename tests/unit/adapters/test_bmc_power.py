from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from racksalt.adapters.bmc_power import BmcSettings
from racksalt.adapters.breaker import BreakerSettings
from racksalt.adapters.ipmi import IpmiPower
from racksalt.adapters.ipmi_pool import WorkerPool
from racksalt.lab.bmc import Fate, LabBmc
from racksalt.model.errors import BmcError, BmcRefusedError, BmcSuspendedError
from tests.support.bmc_rig import PASSWORD, record, rig


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


def test_wrong_credentials_are_refused_and_soon_not_even_tried(bmcs):
    """Three refusals open the circuit, so that no account is locked; the pause over, one try is let through."""
    [one] = bmcs.add()
    clock = [0.0]
    settings = BmcSettings(breaker=BreakerSettings(interval_s=0.0, pause_s=5.0))
    adapter = IpmiPower(bmcs.secrets, settings=settings, clock=lambda: clock[0])
    bmc = record(one, "file:wrong")
    try:
        for _ in range(3):
            with pytest.raises(BmcRefusedError, match="password"):
                adapter.observe(bmc)
        assert adapter.circuit(bmc) == "open"
        taken = one.counts["taken"]
        with pytest.raises(BmcSuspendedError) as caught:
            adapter.observe(bmc)
        assert caught.value.detail["retry_after_s"] == 5.0
        assert one.counts["taken"] == taken
        bmcs.secrets_file.write_text(f"wrong: {PASSWORD}\n")
        clock[0] += 5.0
        assert adapter.observe(bmc) == "off"
        assert adapter.circuit(bmc) == "closed"
    finally:
        adapter.close()


@pytest.mark.parametrize(
    ("secret", "username"),
    [("file:wrong", "admin"), ("file:right", "nobody"), ("file:none", "admin")],
)
def test_no_password_is_ever_shown(bmcs, power, secret, username, caplog):
    """Not in exceptions, not in logs, not in a worker's command line or environment."""
    [one] = bmcs.add()
    with caplog.at_level("DEBUG"), pytest.raises(BmcError) as caught:
        power.observe(record(one, secret, username))
    power.observe(record(one))
    shown = f"{caught.value} {caught.value!r} {caught.value.detail} {caplog.text}"
    for pid in power._pool.pids():
        for name in ("cmdline", "environ"):
            shown += Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    assert "racksalt.adapters.ipmi_worker" in shown
    assert PASSWORD not in shown
    assert "battery-staple" not in shown


def test_a_bmc_is_suspect_until_it_answers_and_when_it_is_slow_or_silent(bmcs):
    """Whoever calls many BMCs keeps these apart from the others; to say so costs no exchange and no wait."""
    [one] = bmcs.add()
    clock = [0.0]
    adapter = IpmiPower(bmcs.secrets, clock=lambda: clock[0], sleep=lambda _s: None)
    bmc = record(one)
    try:
        assert adapter.is_suspect(bmc)
        assert one.counts["taken"] == 0
        adapter.observe(bmc)
        assert not adapter.is_suspect(bmc)
        with adapter._line(adapter._key(bmc)).lock:
            assert not adapter.is_suspect(bmc)
        adapter._line(adapter._key(bmc)).slow = True
        assert adapter.is_suspect(bmc)
        adapter.observe(bmc)
        assert not adapter.is_suspect(bmc)
        with pytest.raises(BmcRefusedError):
            adapter.observe(record(one, "file:wrong"))
        assert adapter.is_suspect(bmc)
    finally:
        adapter.close()


def test_a_refused_command_is_no_failure_of_the_bmc(bmcs, power, caplog):
    """A completion code is passed on in words, and the circuit stays closed."""
    [one] = bmcs.add()
    one.machine.power_on = lambda: 1 / 0
    for _ in range(4):
        with (
            caplog.at_level("CRITICAL"),
            pytest.raises(BmcRefusedError, match="completion code FFh"),
        ):
            power.on(record(one))
    assert power.circuit(record(one)) == "closed"


def test_a_bmc_has_one_operation_at_a_time(bmcs):
    """Many threads on one slow BMC wait for one another."""
    under_way, most = [0], [0]

    class Counting(LabBmc):
        def handle(self, packet, peer):
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            self_answer = super().handle(packet, peer)
            under_way[0] -= 1
            return self_answer

    [one] = bmcs.add(kind=Counting, fate=Fate(latency_s=0.05))
    adapter = IpmiPower(bmcs.secrets)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _: adapter.observe(record(one)), range(16))) == {"off"}
        assert len(adapter._pool.pids()) == 1
        assert len({entry["session"] for entry in bmcs.log.entries}) == 1
    finally:
        adapter.close()


def test_operations_on_one_bmc_keep_the_minimum_interval(bmcs):
    """What is missing to the interval is slept, by the sleep that was passed in."""
    [one] = bmcs.add()
    slept = []
    settings = BmcSettings(breaker=BreakerSettings(interval_s=2.0))
    adapter = IpmiPower(bmcs.secrets, settings=settings, clock=lambda: 0.0, sleep=slept.append)
    try:
        for _ in range(3):
            adapter.observe(record(one))
    finally:
        adapter.close()
    assert slept == [2.0, 4.0]


def test_a_shared_pool_outlives_the_adapter(bmcs):
    """Who made the pool ends it."""
    pool = WorkerPool()
    [one] = bmcs.add()
    try:
        for _ in range(2):
            adapter = IpmiPower(bmcs.secrets, pool=pool)
            assert adapter.observe(record(one)) == "off"
            adapter.close()
        assert len(pool.pids()) == 1
    finally:
        pool.close()
