from __future__ import annotations

import asyncio
import subprocess

import pytest

from racksalt.lab.qemu.qmp import Monitor, MonitorError
from tests.support.needs import need


@pytest.fixture
def monitor_path(tmp_path):
    """The monitor of a real QEMU that has no machine."""
    need("qemu-system-x86_64")
    path = tmp_path / "qmp"
    bare = ("-nodefaults", "-display", "none", "-machine", "none")
    with subprocess.Popen(
        ["qemu-system-x86_64", *bare, "-qmp", f"unix:{path},server=on,wait=off"]
    ) as process:
        yield path
        process.kill()


async def _ask(socket, command: str, **arguments):
    monitor = await Monitor.open(socket)
    try:
        return await monitor.execute(command, **arguments)
    finally:
        monitor.close()


def test_a_command_is_answered(monitor_path):
    """The answer is what QEMU says, whatever events come in between."""
    assert asyncio.run(_ask(monitor_path, "query-status"))["running"] is True


def test_a_refusal_is_raised_with_what_qemu_said(monitor_path):
    """A command that QEMU does not take is told, not ignored."""
    with pytest.raises(MonitorError, match="no-such-device"):
        asyncio.run(_ask(monitor_path, "qom-get", path="no-such-device", property="x"))
