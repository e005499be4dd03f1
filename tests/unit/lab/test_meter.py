"""Measuring."""

from __future__ import annotations

import subprocess
import sys

from racksalt.lab import meter


def test_processor_time_and_memory_of_a_group_are_counted():
    """A child that computes and holds memory is seen by its group, a group of nobody has nothing."""
    code = (
        "x = bytearray(60_000_000)\nfor _ in range(3_000_000): pass\nprint(1, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        child.stdout.readline()
        assert meter.cpu_s(child.pid) > 0.02
        assert meter.memory_mib(child.pid) > 55
        memory = meter.PeakMemory(child.pid, every_s=0.01)
        memory.start()
        child.stdin.close()
        child.wait()
        assert memory.stop() >= 0
    assert meter.cpu_s(child.pid) == meter.memory_mib(child.pid) == 0


def test_processor_time_is_told_by_how_far_the_work_was():
    """What costs ever more shows in the last tenth; one that was never seen costs nothing."""
    readings = [(0, 1.0), (5, 1.1), (10, 1.2), (50, 2.0), (92, 3.0), (100, 3.4)]
    seen = iter(readings)
    now = [next(seen)]
    spent = meter.Spent(0, lambda: now[0][0], lambda _: now[0][1])
    for now[0] in seen:
        spent.look()
    assert spent.ms_per_item(0.0, 0.1) == 20.0
    assert spent.ms_per_item(0.9, 1.0) == 50.0
    assert spent.ms_per_item(0.6, 0.7) is None


def test_durable_commits_leave_nothing_behind(tmp_path):
    """The probe counts real commits and removes its file."""
    assert meter.durable_commits_per_s(tmp_path, 0.1) > 1
    assert not list(tmp_path.iterdir())


def test_percentiles():
    """The value below which a share of all values is; nothing for nothing."""
    values = [float(n) for n in range(100, 0, -1)]
    assert meter.percentile(values, 0.5) == 51
    assert meter.percentile(values, 0.99) == 100
    assert meter.percentile(values, 1) == 100
    assert meter.percentile([], 0.5) == 0
