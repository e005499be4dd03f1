from __future__ import annotations

import copy
from typing import Any

import pytest

from racksalt.model.switch import SwitchPort
from racksalt.site.declare import declare

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0nG1Yb6k2hZ3l4Xo5pQ6r7S8t9u0v1w2x3y4z5A6B7"
SOUND: dict[str, Any] = {
    "zones": ["z1"],
    "racks": {"r1": {"zone": "z1", "height_u": 20}, "r2": {"zone": "z1"}},
    "networks": {
        "prov": {"purpose": "provisioning", "zone": "z1", "vlan": 110},
        "storage": {"purpose": "storage", "zone": "z1", "vlan": 120},
        "admin": {"purpose": "admin"},
    },
    "switches": {
        "tor-r1": {
            "rack": "r1",
            "address": "10.0.0.2",
            "secret": "file:tor",
            "host_key": KEY,
            "management_ports": ["eth0"],
            "ports": {
                "swp7": {"position_u": 12},
                "swp8": {"networks": ["prov", "storage"], "untagged": "prov", "edge": False},
            },
        },
        "agg": {
            "rack": "r2",
            "driver": "napalm",
            "platform": "eos",
            "address": "10.0.0.3",
            "secret": "file:agg",
            "ports": {"Ethernet1/1": {"position_u": 3, "rack": "r1", "networks": ["prov"]}},
        },
    },
}
TOR, SWP7 = "switches:tor-r1", "switches:tor-r1:ports:swp7"
CASES: list[tuple[str, Any, str, str]] = [
    (f"{TOR}:rack", "r9", f"{TOR}:rack", "no rack 'r9'"),
    (f"{TOR}:address", None, f"{TOR}:address", "no IP address"),
    (f"{TOR}:address", "a@b", f"{TOR}:address", "no IP address"),
    (f"{TOR}:address", "-oProxyCommand=x", f"{TOR}:address", "hyphen"),
    (f"{TOR}:username", "-l", f"{TOR}:username", "no login name"),
    (f"{TOR}:port", 0, f"{TOR}:port", "65535"),
    (f"{TOR}:secret", "hunter2", f"{TOR}:secret", "does not name a secret"),
    (f"{TOR}:host_key", "AAAA", f"{TOR}:host_key", "no public host key"),
    (f"{TOR}:platform", "eos", f"{TOR}:platform", "driver: napalm"),
    (f"{TOR}:driver", "telnet", f"{TOR}:driver", "none of the values"),
    (f"{TOR}:bridge", "br 0", f"{TOR}:bridge", "no name"),
    (f"{TOR}:bridge", "br0\n", f"{TOR}:bridge", "no name"),
    (f"{TOR}:minion", "N 1", f"{TOR}:minion", "no legal minion id"),
    (f"{TOR}:management_ports", ["swp7"], SWP7, "management port"),
    (f"{TOR}:management_vlans", [4095], f"{TOR}:management_vlans", "4094"),
    (f"{TOR}:speed", 10, f"{TOR}:speed", "no such field"),
    (f"{TOR}:ports", [], f"{TOR}:ports", "not a map"),
    (f"{TOR}:ports:swp9;reboot", {"position_u": 1}, f"{TOR}:ports:swp9;reboot", "no port's name"),
    (f"{TOR}:ports:swp9", {}, f"{TOR}:ports:swp9", "neither"),
    (f"{SWP7}:position_u", 21, f"{SWP7}:position_u", "not in the rack"),
    (f"{SWP7}:rack", "r7", f"{SWP7}:rack", "no rack 'r7'"),
    (f"{SWP7}:networks", ["none"], f"{SWP7}:networks", "no network 'none'"),
    (f"{SWP7}:networks", ["admin"], f"{SWP7}:networks", "has no VLAN"),
    (f"{SWP7}:untagged", "none", f"{SWP7}:untagged", "no network 'none'"),
    (f"{SWP7}:description", "a\nb", f"{SWP7}:description", "cannot keep"),
    (f"{TOR}:ports:swp8:lldp_med", True, f"{TOR}:ports:swp8:lldp_med", "edge ports"),
    (f"{TOR}:ports:swp8:untagged", "admin", f"{TOR}:ports:swp8:untagged", "has no VLAN"),
    (f"{TOR}:ports:swp8:networks", ["storage"], f"{TOR}:ports:swp8:untagged", "not in `networks`"),
    ("switches:agg:platform", None, "switches:agg:platform", "is missing"),
    ("switches:agg:minion", "agg", "switches:agg:minion", "driver: linux"),
    ("switches:Agg", {"rack": "r1", "via": "local"}, "switches:Agg", "no legal name"),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the sound site with one value changed; None takes the key away."""
    site = copy.deepcopy(SOUND)
    *above, last = path.split(":")
    place = site
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return site


def test_switches_and_ports_become_the_nouns_of_the_model():
    """A sound section has no problem, and its ports have the defaults that the reference tells."""
    declared, problems = declare({"site/a.yaml": SOUND})
    assert problems == []
    assert declared.switches["tor-r1"].ports["swp7"] == SwitchPort(name="swp7", position_u=12)
    assert declared.switches["tor-r1"].via == "ssh"
    assert declared.switches["agg"].ports["Ethernet1/1"].networks == ("prov",)


@pytest.mark.parametrize(("path", "value", "key", "message"), CASES)
def test_what_cannot_be_true_of_a_switch_is_reported(path, value, key, message):
    """Each mistake is told at the key to mend."""
    problems = declare({"site/a.yaml": changed(path, value)})[1]
    assert key in {it.key for it in problems}
    assert any(message in it.message + it.hint for it in problems if it.key == key)


def test_a_port_named_by_a_number_is_text():
    """YAML reads a bare 7 as a number, which is told with the remedy."""
    site = changed(f"{TOR}:ports:swp9", {"position_u": 1})
    site["switches"]["tor-r1"]["ports"][7] = {"position_u": 1}
    problems = declare({"site/a.yaml": site})[1]
    assert [(it.key, it.hint) for it in problems] == [(f"{TOR}:ports:7", "put it in quotes")]


def test_two_networks_of_one_vlan_on_one_switch_are_refused():
    """A switch has one network for each VLAN, also where the networks are of different zones."""
    site = changed("switches:tor-r1:ports:swp8:networks", ["prov", "far"])
    site["zones"] = ["z1", "z2"]
    site["networks"]["far"] = {"zone": "z2", "vlan": 110}
    problems = declare({"site/a.yaml": site})[1]
    assert [it.key for it in problems] == [f"{TOR}:ports:swp8:networks"]
    assert "VLAN 110 is prov's" in problems[0].message


def test_two_switches_at_one_address_are_refused():
    """A copied entry whose address was not changed would configure the wrong switch."""
    site = copy.deepcopy(SOUND)
    site["switches"]["tor-r2"] = {**site["switches"]["tor-r1"], "rack": "r2"}
    assert any("is tor-r1's too" in it.message for it in declare({"site/a.yaml": site})[1])
