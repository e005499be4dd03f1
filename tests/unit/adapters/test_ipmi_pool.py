from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from racksalt.adapters import ipmi_pool
from racksalt.adapters.ipmi import IpmiPower
from racksalt.lab.bmc import Fate
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


def _wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.02)


def test_a_worker_that_dies_is_replaced(bmcs, power):
    """The operation that it had is unreachable; the next one works."""
    [one] = bmcs.add(fate=Fate(latency_s=0.5))
    bmc = record(one)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(power.on, bmc)
        _wait_until(lambda: one.counts["taken"] > 0)
        [pid] = power._pool.pids()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BmcUnreachableError, match="ended in the middle"):
            future.result()
    one.fate.latency_s = 0.0
    assert power.observe(bmc) == "off"
    assert power._pool.pids() != [pid]


def test_a_worker_that_hangs_is_killed_and_replaced(bmcs):
    """The hard limit holds even when the worker does not react to anything."""

    class Hasty(IpmiPower):
        budget_s = 0.5

    [one] = bmcs.add()
    adapter = Hasty(bmcs.secrets)
    try:
        adapter.observe(record(one))
        [pid] = adapter._pool.pids()
        os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(BmcUnreachableError, match="overran"):
            adapter.observe(record(one))
        assert time.monotonic() - begun < 6
        assert not Path(f"/proc/{pid}").exists()
        assert adapter.observe(record(one)) == "off"
    finally:
        adapter.close()


def test_an_operation_ends_within_its_budget(bmcs):
    """A BMC that answers, but too slowly for a whole login, is unreachable when the budget is spent."""

    class Hasty(IpmiPower):
        budget_s = 1.0

    [one] = bmcs.add(fate=Fate(latency_s=0.4))
    adapter = Hasty(bmcs.secrets)
    try:
        with pytest.raises(BmcUnreachableError, match="no answer in 1 s"):
            adapter.observe(record(one))
    finally:
        adapter.close()


def test_a_closed_adapter_leaves_no_process_and_no_session(bmcs, power):
    """Workers go, and give their sessions back first."""
    five = bmcs.add(5)
    for one in five:
        power.observe(record(one))
    pids = power._pool.pids()
    assert sum(len(one.sessions.active(time.monotonic())) for one in five) == 5
    power.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    _wait_until(lambda: not any(one.sessions.active(time.monotonic()) for one in five))
    with pytest.raises(BmcUnreachableError, match="closed"):
        power.observe(record(five[0]))


def test_an_operation_moves_when_its_home_is_busy(bmcs, power):
    """It goes to another worker after a moment, and the old home gives the session back at its next turn."""
    one, slow = bmcs.add(2)
    power.observe(record(one))
    power.observe(record(slow))
    slow.fate.latency_s = 0.8
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(power.observe, record(slow))
        _wait_until(lambda: not power._pool._idle)
        begun = time.monotonic()
        power.observe(record(one))
        assert time.monotonic() - begun < 0.7
        busy.result()
    assert len(power._pool.pids()) == 2
    slow.fate.latency_s = 0.0
    assert len(one.sessions.active(time.monotonic())) == 2
    power.observe(record(slow))
    _wait_until(lambda: len(one.sessions.active(time.monotonic())) == 1)


def test_workers_that_nobody_needs_are_ended_but_for_one(bmcs, power, monkeypatch):
    """After a busy hour the processes go away again."""
    slow = bmcs.add(3, fate=Fate(latency_s=0.1))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(power.observe, map(record, slow)))
    assert len(power._pool.pids()) > 1
    monkeypatch.setattr(ipmi_pool, "IDLE_S", 0.0)
    power.observe(record(slow[0]))
    assert len(power._pool.pids()) <= 1
    assert power.observe(record(slow[0])) == "off"


def test_closing_stops_what_is_under_way(bmcs, power):
    """A thread that waits for a BMC is told, and no process stays."""
    [slow] = bmcs.add(fate=Fate(latency_s=5.0))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(power.observe, record(slow))
        _wait_until(lambda: slow.counts["taken"] or power._pool.pids())
        pids = power._pool.pids()
        power.close()
        with pytest.raises(BmcUnreachableError):
            waiting.result(10)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_fork_does_not_use_its_parents_workers(bmcs, power):
    """Pipes that two processes write to would mix up answers."""
    [one] = bmcs.add()
    power.observe(record(one))
    power._pool._owner = os.getpid() + 1
    with pytest.raises(BmcUnreachableError, match="another process"):
        power.observe(record(one))


def test_a_queue_that_never_moves_is_given_up(bmcs, power, monkeypatch):
    """Waiting for a worker has an end, and it is not held against the BMC."""
    [one] = bmcs.add()
    monkeypatch.setattr(ipmi_pool, "QUEUE_S", 0.2)
    power._pool._max = 0
    power._pool._starting = 1
    with pytest.raises(BmcUnreachableError, match="workers were busy"):
        power.observe(record(one))
    power._pool._starting = 0
    assert power.circuit(record(one)) == "closed"
