from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from racksalt.lab.processes import LabError
from racksalt.lab.qemu.network import run
from tests.support.needs import need
from tests.support.qemu import in_own_process

MAKE = """
import os
from racksalt.lab.qemu.network import Switch, enter_namespace, run
enter_namespace()
switch = Switch()
switch.start(["10.77.0.1/24", "fd77::1/64"])
switch.plug("m0n0")
{more}
"""
LIST = 'print(run("ip", "-brief", "address"))'


@pytest.fixture(autouse=True)
def _may_make_networks():
    need("ip", root=True)


def _namespaces() -> set[str]:
    """Return the network namespaces that any process is in, this one's among them."""
    found = {str(Path("/proc/self/ns/net").readlink())}
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            found.add(str(link.readlink()))
    return found


def test_a_switch_has_the_masters_addresses_and_a_port_for_each_card():
    """The bridge is up with both addresses at once, and a tap is one of its ports."""
    more = LIST + '\nprint(run("ip", "-brief", "link", "show", "master", "racksalt0"))'
    told = in_own_process(MAKE.format(more=more))
    assert "10.77.0.1/24" in told
    assert "fd77::1/64" in told
    assert "tentative" not in told
    assert "m0n0" in told.split("fd77::1/64")[1]


def test_what_is_unplugged_and_stopped_is_gone():
    """A lab can be taken down in its own namespace, twice without harm."""
    down = 'switch.unplug("m0n0")\nswitch.stop()\n' * 2
    told = in_own_process(MAKE.format(more=down + LIST))
    assert "racksalt0" not in told
    assert "m0n0" not in told


def test_the_hosts_network_is_not_touched_and_nothing_is_left():
    """Interfaces are made where nobody else is, and end with the process that was there."""
    before = run("ip", "-brief", "link")
    told = in_own_process(MAKE.format(more='print(os.readlink("/proc/self/ns/net"))')).strip()
    assert told not in _namespaces()
    assert run("ip", "-brief", "link") == before


def test_a_network_command_that_fails_says_what_it_was():
    """The error names the command and what it complained of."""
    with pytest.raises(LabError, match=r"ip link show no-such-card.*does not exist"):
        run("ip", "link", "show", "no-such-card")
