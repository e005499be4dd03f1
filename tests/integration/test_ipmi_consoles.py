"""Virtual BMCs against the consoles that the world uses: ipmitool, and pyghmi's own client."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.bmc_rig import PASSWORD, rig

SUITES = pytest.mark.parametrize("suite", [[], ["-C", "3"], ["-C", "17"]], ids=["best", "3", "17"])


@pytest.fixture(name="bmc")
def bmc_fixture(tmp_path):
    """One virtual BMC on a real port."""
    with rig(tmp_path) as made:
        yield made.add()[0]


def ipmitool(bmc, *words, suite=(), password=PASSWORD, home):
    """Run ipmitool with a home of its own: its list of makers, read at every start, is five lines there."""
    makers = home / ".local/usr/share/misc/enterprise-numbers.txt"
    makers.parent.mkdir(parents=True, exist_ok=True)
    makers.write_text("0\n  Reserved\n    nobody\n      nobody&example.org\n")
    where = ["-I", "lanplus", "-H", bmc.host, "-p", str(bmc.port), "-U", "admin", "-E"]
    return subprocess.run(
        ["ipmitool", *where, *suite, *words],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "IPMI_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.needs("ipmitool")
@SUITES
def test_ipmitool_controls_power_and_boot(bmc, suite, tmp_path):
    """The words of an operator's day, in each cipher suite."""

    def tell(*words):
        done = ipmitool(bmc, *words, suite=suite, home=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Chassis Power is off" in tell("power", "status")
    tell("chassis", "bootdev", "pxe")
    assert "Force PXE" in tell("chassis", "bootparam", "get", "5")
    tell("chassis", "bootdev", "disk", "options=efiboot,persistent")
    assert bmc.machine.boot == ("disk", True)
    assert "Boot parameter data: e008000000" in tell("chassis", "bootparam", "get", "5")
    tell("power", "on")
    assert "System Power         : on" in tell("chassis", "status")
    tell("power", "cycle")
    tell("power", "reset")
    tell("power", "off")
    assert bmc.machine.calls == ["on", "cycle", "cycle", "off"]
    assert "IPMI Version              : 2.0" in tell("mc", "info")
    assert "ADMINISTRATOR" in tell("session", "info", "active")
    assert "Entries          : 0" in tell("sel", "info")
    assert "passed" in tell("mc", "selftest")


@pytest.mark.needs("ipmitool")
def test_ipmitool_with_a_wrong_password_is_refused(bmc, tmp_path):
    """No session, and nothing in the log."""
    done = ipmitool(bmc, "power", "on", password="wrong", home=tmp_path)
    assert done.returncode != 0
    assert "Unable to establish" in done.stderr
    assert list(bmc.log.entries) == []


PYGHMI = """
import sys
from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
login = {"bmc": sys.argv[1], "port": int(sys.argv[2]), "userid": "admin"}
try:
    Command(**login, password="wrong")
except IpmiException as error:
    print(error)
console = Command(**login, password=sys.stdin.read())
print(console.get_power(), console.set_power("on", wait=5), console.set_bootdev("network", uefiboot=True))
print(console.get_bootdev())
"""


def test_pyghmis_own_client_is_served_too(bmc):
    """Login, power and boot device by the client that other tools use."""
    done = subprocess.run(
        [sys.executable, "-c", PYGHMI, bmc.host, str(bmc.port)],
        input=PASSWORD,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Incorrect password" in done.stdout
    assert "{'powerstate': 'off'} {'powerstate': 'on'}" in done.stdout
    assert "{'bootdev': 'network', 'persistent': False, 'uefimode': True}" in done.stdout
