from __future__ import annotations

from typing import Any

import pytest

from racksalt.model.node import Bmc
from racksalt.model.place import Network, Rack, Zone
from racksalt.site.declare import declare

SOUND: dict[str, Any] = {
    "zones": ["z1"],
    "racks": {"r1": {"zone": "z1"}},
    "nodes": {
        "n1": {
            "rack": "r1",
            "position_u": 3,
            "macs": ["52-54-00-12-AB-CD"],
            "bmc": {"address": "10.0.0.1", "username": "admin", "secret": "file:lab"},
        }
    },
    "networks": {"admin": {"cidr_v4": "10.0.0.0/24", "gateway_v4": "10.0.0.254", "vlan": 7}},
    "policy": {"approve": "auto", "approve_limit": 5, "goal": "ready"},
}


def told(documents: dict[str, Any]) -> list[str]:
    """Return ``file: key: message`` of each problem."""
    return [f"{it.file}: {it.key}: {it.message}" for it in declare(documents)[1]]


def test_declarations_become_the_nouns_of_the_model():
    """Zones, racks, networks and BMCs are the model's own classes; MACs get their normal form."""
    declared, problems = declare({"site/a.yaml": SOUND})
    assert not problems
    assert declared.zones == {"z1": Zone(name="z1")}
    assert declared.racks == {"r1": Rack(name="r1", zone="z1", height_u=42)}
    assert declared.networks["admin"] == Network(
        name="admin", vlan=7, cidr_v4="10.0.0.0/24", gateway_v4="10.0.0.254"
    )
    node = declared.nodes["n1"]
    assert node.macs == ("52:54:00:12:ab:cd",)
    assert node.bmc == Bmc(
        node="n1",
        protocol="ipmi",
        address="10.0.0.1",
        port=623,
        username="admin",
        secret="file:lab",
    )
    assert declared.policy.approve_limit == 5
    assert declared.place("n1") == ("n1", "r1", "z1")
    assert declared.place("n2") == ("n2", None, None)


def test_declarations_may_be_spread_over_files():
    """Each section of each file adds to the same site."""
    parts = {f"site/{key}.yaml": {key: value} for key, value in SOUND.items()}
    whole, spread = declare({"site/a.yaml": SOUND})[0], declare(parts)[0]
    assert (whole.nodes, whole.racks, whole.networks) == (
        spread.nodes,
        spread.racks,
        spread.networks,
    )
    assert spread.files["nodes", "n1"] == "site/nodes.yaml"


def test_redfish_has_another_port():
    """The default port goes with the protocol."""
    bmc = {"protocol": "redfish", "address": "a", "username": "u", "secret": "file:x"}
    nodes = {"n1": {"rack": "r1", "bmc": bmc}}
    declared, _ = declare({"site/a.yaml": {**SOUND, "nodes": nodes}})
    assert declared.nodes["n1"].bmc
    assert declared.nodes["n1"].bmc.port == 443


def test_all_problems_are_told_at_once_with_file_and_key():
    """One wrong field hides no other, in the same thing or in another file."""
    found = told(
        {
            "site/a.yaml": {"zones": ["z1", 5], "racks": {"r1": {"zone": "z1", "hight_u": 4}}},
            "site/b.yaml": {
                "nodes": {"n1": {"rack": "r1", "serial": 12, "agent": "x", "bmc": {"port": "p"}}},
                "policy": {"goal": "redy"},
                "nodez": {},
            },
            "site/c.yaml": ["not a map"],
            "site/d.yaml": {"zones": ["z1"], "racks": 5, "networks": {"n": []}},
        }
    )
    assert sorted(found) == sorted(
        [
            "site/a.yaml: zones:5: the name is not text",
            "site/b.yaml: nodez: no such section",
            "site/c.yaml: : the file is not a map",
            "site/d.yaml: zones:z1: is declared in site/a.yaml too",
            "site/d.yaml: racks: is not a map",
            "site/a.yaml: racks:r1:hight_u: no such field",
            "site/b.yaml: nodes:n1:bmc:port: expected a whole number, got text",
            "site/b.yaml: nodes:n1:bmc:address: is missing",
            "site/b.yaml: nodes:n1:bmc:username: is missing",
            "site/b.yaml: nodes:n1:bmc:secret: is missing",
            "site/b.yaml: nodes:n1:serial: expected text or nothing, got a whole number",
            "site/b.yaml: nodes:n1:agent: is none of the values that it may have",
            "site/d.yaml: networks:n: is a list, not a map",
            "site/b.yaml: policy:goal: is none of the values that it may have",
        ]
    )


def test_every_problem_of_form_says_what_to_do():
    """Near names, the allowed values, or the next step."""
    body = {"racks": {"r1": {"hight_u": 4}}, "policy": {"goal": "redy"}, "node": {}}
    hints = [it.hint for it in declare({"site/a.yaml": body})[1]]
    assert hints == [
        "did you mean nodes?",
        "did you mean height_u?",
        "add `zone:`",
        "use commissioned, ready",
    ]


def test_an_empty_site_is_a_site():
    """Nothing declared is nothing wrong; by default nothing goes by itself."""
    declared, problems = declare({})
    assert not problems
    assert (declared.policy.approve, declared.policy.auto_commission) == ("hand", False)
    assert declare({"site/a.yaml": {"racks": None, "nodes": {}}})[1] == []


@pytest.mark.parametrize("field", ["password", "secret"])
def test_no_message_repeats_a_password(field):
    """Where a password stands instead of its name, the problem is told without it."""
    bmc = {"address": "a", "username": "u", "secret": "file:x", field: "hunter2"}
    _, problems = declare({"site/a.yaml": {**SOUND, "nodes": {"n1": {"rack": "r1", "bmc": bmc}}}})
    assert problems
    assert "hunter2" not in "".join(map(str, problems))
