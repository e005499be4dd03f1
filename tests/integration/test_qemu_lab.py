"""The QEMU lab's machines, switch and BMCs, without any system in the machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.needs import need
from tests.support.waiting import wait_for

pytestmark = pytest.mark.daemons

OWNER = """
import json, sys
from pathlib import Path
from racksalt.lab.qemu.network import enter_namespace
from racksalt.lab.qemu.rack import QemuRack
from racksalt.lab.qemu.spec import Spec

enter_namespace()
rack = QemuRack(Path(sys.argv[1]), images=Path(sys.argv[1], "images"))
machines = [Spec(id=name, macs=(f"52:54:00:00:00:0{n}",)) for n, name in enumerate(("q1", "q2"))]
specs = rack.use_machines(machines)
rack.switch.start(rack.addresses)
rack.lab = rack.start_machines()
told = {"lab": rack.lab.pid, "ports": {one.id: one.bmc_port for one in specs}}
print(json.dumps(told), flush=True)
for line in sys.stdin:
    print(json.dumps(rack.power()), flush=True)
rack.stop()
print(json.dumps(rack.left_running()), flush=True)
"""


@pytest.fixture
def owner(short_root):
    """The process that owns a lab of two machines, and what it told of it."""
    need("qemu-system-x86_64", "ip", "ipmitool", "nsenter", root=True)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(short_root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, json.loads(process.stdout.readline()), short_root
        process.kill()


def _power(owner) -> dict[str, str]:
    process = owner[0]
    process.stdin.write("?\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _ipmi(owner, machine: str, *words: str) -> str:
    """Return what ipmitool prints for one machine, run in the lab's namespace."""
    process, told, root = owner
    password = json.loads((root / "secrets" / "bmc.yaml").read_text())["lab"]
    who = ("-I", "lanplus", "-H", "127.0.0.1", "-U", "racksalt", "-E")
    enter = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
    return subprocess.run(
        [*enter, "ipmitool", *who, "-p", str(told["ports"][machine]), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "IPMI_PASSWORD": password},
    ).stdout


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_ipmitool_switches_real_qemu_processes_on_and_off(owner):
    """Power over IPMI is a QEMU process, of that machine and of no other; ipmitool is not ours."""
    assert "is off" in _ipmi(owner, "q1", "chassis", "power", "status")
    _ipmi(owner, "q1", "chassis", "bootdev", "pxe")
    _ipmi(owner, "q1", "chassis", "power", "on")
    seen = _power(owner)
    assert seen["q1"]["power"] == "on"
    assert seen["q2"] == {"power": "off", "pid": None, "starts": 0}
    os.kill(seen["q1"]["pid"], signal.SIGKILL)
    assert "is off" in _ipmi(owner, "q1", "chassis", "power", "status")
    _ipmi(owner, "q1", "chassis", "power", "on")
    _ipmi(owner, "q1", "chassis", "power", "cycle")
    assert _power(owner)["q1"]["starts"] == 3


def test_a_lab_that_is_stopped_leaves_no_process(owner):
    """The end of the lab is the end of all machines, those that are switched on too."""
    _ipmi(owner, "q1", "chassis", "power", "on")
    pid = _power(owner)["q1"]["pid"]
    owner[0].stdin.close()
    assert json.loads(owner[0].stdout.readline()) == []
    assert wait_for(lambda: _gone(pid), 20) is not None


def test_a_lab_that_is_killed_leaves_no_process(owner):
    """Kill -9 of the owner ends machines and BMCs, and so the namespace that they were in."""
    _ipmi(owner, "q1", "chassis", "power", "on")
    pid = _power(owner)["q1"]["pid"]
    owner[0].kill()
    assert wait_for(lambda: _gone(pid), 20) is not None
    assert wait_for(lambda: _gone(owner[1]["lab"]), 20) is not None
