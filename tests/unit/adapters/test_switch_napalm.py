"""NAPALM's own mock driver answers from files, one for each call of each session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from racksalt.adapters.switch_napalm import NapalmSwitches
from racksalt.model.errors import SwitchError
from racksalt.model.switch import Switch
from racksalt.network.switch_plan import Step
from racksalt.network.switches import PortState

BEFORE = "interface Ethernet1\n   switchport access vlan 7\n!\ninterface Ethernet2\n!\n"
AFTER = "interface Ethernet1\n   description n1\n   switchport access vlan 110\n!\n"
STEPS = [
    Step(port="Ethernet1", kind="description", before="", after="n1"),
    Step(
        port="Ethernet1",
        kind="vlans",
        before={"untagged": 7, "tagged": []},
        after={"untagged": 110, "tagged": []},
    ),
]


class Rig:
    """A switch that NAPALM's mock driver plays."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.data.mkdir()
        (folder / "secret").write_text("hunter2\n")
        (folder / "secret").chmod(0o600)
        self.driver = NapalmSwitches(folder)
        self.switch = Switch(
            name="agg",
            rack="r1",
            driver="napalm",
            platform="mock",
            address="192.0.2.1",
            secret="file:secret",
            options={"path": str(self.data)},
        )
        ports = ("Ethernet1", "Ethernet2", "Management1")
        self.tell("get_interfaces", {name: {} for name in ports})
        self.tell("get_lldp_neighbors", {"Ethernet1": [{"hostname": "n1", "port": "eth0"}]})
        self.running(BEFORE)
        for call in ("load_merge_candidate", "commit_config", "confirm_commit", "discard_config"):
            self.tell(call, {})
        self.tell("compare_config", {"diff": "+ vlan 110"})

    def tell(self, call, answer, count=1):
        """Set the answer of the n-th such call of a session."""
        (self.data / f"{call}.{count}").write_text(json.dumps(answer))

    def running(self, text):
        """Set the running configuration."""
        self.tell("get_config", {"running": text, "startup": "", "candidate": ""})

    def on_commit(self, act):
        """Let something happen at the moment when the configuration is committed."""
        path = self.data / "commit_config.1"
        path.unlink()
        os.mkfifo(path)

        def wait():
            with path.open("w") as pipe:  # opens when the driver reads it
                act()
                pipe.write("{}")

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def rig(tmp_path):
    """A switch with two ports and a management port."""
    return Rig(tmp_path)


def test_ports_and_neighbours_are_read(rig):
    """Ports come from the running configuration, since NAPALM's list of VLANs tells no tags."""
    found = rig.driver.observe(rig.switch)
    assert found.ports["Ethernet1"] == PortState(name="Ethernet1", untagged=7)
    assert not found.ports["Management1"].member
    assert found.neighbours == {"Ethernet1": "n1"}
    assert "med" not in found.settings


def test_a_change_is_committed_on_trial_and_confirmed_after_a_second_look(rig):
    """All steps are one commit; a new login has seen it before it is confirmed."""
    acting = rig.on_commit(lambda: rig.running(AFTER))
    rig.driver.apply(rig.switch, STEPS)
    acting.join(5)
    assert not acting.is_alive()


def test_a_change_that_did_not_come_about_is_not_confirmed(rig):
    """The second look finds the old configuration: the trial ends, and the switch takes it back."""
    rig.tell("confirm_commit", {"exception": "builtins.AssertionError"})
    with pytest.raises(SwitchError, match="did not take the change on Ethernet1"):
        rig.driver.apply(rig.switch, STEPS)


def test_what_is_right_already_is_discarded(rig):
    """A candidate without a difference is not committed."""
    rig.tell("compare_config", {"diff": ""})
    rig.tell("commit_config", {"exception": "builtins.AssertionError"})
    rig.driver.apply(rig.switch, STEPS)


@pytest.mark.parametrize("call", ["load_merge_candidate", "commit_config", "get_config"])
def test_a_refusal_is_told_without_the_password(rig, call):
    """Whatever the vendor's library says, the password is not in it, nor in a chained exception."""
    told = {"exception": "napalm.base.exceptions.ConnectionException", "args": ["x hunter2 y"]}
    rig.tell(call, told)
    with pytest.raises(SwitchError) as caught:
        rig.driver.apply(rig.switch, STEPS)
    assert "ConnectionException: x ******** y" in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)
    assert caught.value.__suppress_context__


def test_a_switch_that_does_not_answer_is_told(rig):
    """The login fails with the switch's name and the kind of trouble."""
    options = {**rig.switch.options, "fail_on_open": "yes"}
    switch = Switch(
        name="agg", rack="r1", driver="napalm", platform="mock", secret="file:secret",
        options=options,
    )  # fmt: skip
    with pytest.raises(SwitchError, match="agg: ConnectionException"):
        rig.driver.observe(switch)


@pytest.mark.parametrize("platform", ["eos", "ios", "nxos", "nxos_ssh", "junos"])
def test_napalm_has_a_driver_for_each_platform(platform):
    """The names in the site's files are NAPALM's own."""
    from napalm import get_network_driver

    assert get_network_driver(platform)


def test_without_the_library_the_remedy_is_named(rig, monkeypatch):
    """NAPALM is an extra; a site without vendors' switches does without it."""
    monkeypatch.setitem(sys.modules, "napalm", None)
    with pytest.raises(SwitchError, match="not installed") as caught:
        rig.driver.observe(rig.switch)
    assert caught.value.hint == "pip install 'racksalt[napalm]'"


AFTER_ALL_RUNNERS = """
import pathlib, sys
import salt.config, salt.loader
from racksalt.adapters.switch_napalm import NapalmSwitches
from racksalt.model.switch import Switch

def bound(name):
    parent, _, own = name.rpartition(".")
    return getattr(sys.modules[parent], own, None) is sys.modules[name]

folder, data = sys.argv[1:]
options = {**salt.config.DEFAULT_MASTER_OPTS, "extension_modules": folder, "cachedir": folder}
list(salt.loader.runner(options))
assert sys.modules["ssh"].__file__.endswith("salt/runners/ssh.py"), "Salt leaves it alone now: so can we"
agg = Switch(name="agg", rack="r1", driver="napalm", platform="mock", secret="file:secret", options={"path": data})
print(sorted(NapalmSwitches(pathlib.Path(folder)).observe(agg).ports))
print([name for name in sys.modules if name.startswith("napalm.") and not bound(name)])
"""


def test_napalm_loads_where_salt_has_loaded_all_its_runners(rig, tmp_path):
    """One of them is called as a library that NAPALM's own look for; nothing is left of the import that so failed."""
    script = [sys.executable, "-c", AFTER_ALL_RUNNERS, str(tmp_path), str(rig.data)]
    told = subprocess.run(script, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines() == ["['Ethernet1', 'Ethernet2', 'Management1']", "[]"], (
        told.stderr
    )
