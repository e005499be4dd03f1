"""The ext_pillar as Salt runs it."""

from __future__ import annotations

import shutil


def test_each_minion_gets_its_own_layers_and_facts(master):
    """The whole pillar as Salt compiles it: merged values and the node's own facts."""
    pillar = master.compile("n1")
    (nic,) = pillar["racksalt"].pop("network")["interfaces"]
    assert (nic["name"], nic["dhcp"]) == ("nic0", True)
    assert pillar == {
        "ntp": {"servers": ["10.1.0.1"]},
        "only": "layers",
        "racksalt": {
            "node": "n1",
            "zone": "z1",
            "rack": "r1",
            "position_u": 1,
            "state": "declared",
            "roles": [],
            "networks": {"a": {"purpose": "admin", "cidr_v4": "10.1.0.0/24", "addresses": []}},
            "disks": [],
        },
    }
    second = master.compile("n2")
    assert second["ntp"] == {"servers": ["10.0.0.1"]}
    assert second["api_token"] == "sdb://store/n2-only"


def test_no_minion_gets_a_bmc_or_what_is_another_minions(master):
    """Neither addresses nor names of BMC secrets, and no reference to another's secret."""
    for minion in ("n1", "n2"):
        told = str(master.compile(minion))
        assert not [it for it in ("10.9.0.1", "bmc-user", "bmc-entry") if it in told]
    assert "n2-only" not in str(master.compile("n1"))


def test_grains_decide_nothing(master):
    """A minion that claims to be another one by its grains still gets its own pillar."""
    lies = {"id": "n2", "racksalt": {"rack": "r2", "zone": "z2"}, "host": "n2"}
    assert master.compile("n1", lies) == master.compile("n1")


def test_an_unknown_minion_gets_nothing(master):
    """An accepted key without a node behind it, or an odd id, has no configuration."""
    for minion in ("n3", "N1", "admin"):
        assert master.compile(minion) == {}


def test_an_edit_reaches_the_next_compilation(master):
    """No daemon has to be told that a file has changed."""
    assert master.compile("n1")["only"] == "layers"
    (master.site / "node/n1.sls").write_text("only: edited\n")
    assert master.compile("n1")["only"] == "edited"
    (master.site / "node/n1.sls").write_text("only: [broken\n")
    assert master.compile("n1")["only"] == "edited"


def test_a_minion_is_not_told_what_is_wrong_with_other_nodes(master):
    """When the site cannot be read, the pillar has an error that names nobody; the reason is in the log."""
    fresh = master.site.parent / "fresh"
    shutil.copytree(master.site, fresh)
    (fresh / "rack/r1.sls").write_text("secret-word: [broken\n")
    settings = master.site.parent / "fresh.yaml"
    text = master.settings.read_text()
    settings.write_text(text.replace(str(master.site), str(fresh)))
    master.opts["racksalt"] = {"settings": str(settings)}
    told = master.compile("n1")
    assert set(told) == {"_errors"}
    assert "secret-word" not in str(told)
    assert "r1.sls" not in str(told)
    assert master.compile("n2")["only"] == "layers", "the other rack's nodes are served"


def test_a_sites_own_pillar_stays_possible(master, repository):
    """The top file of ``pillar/`` targets nothing, can be extended, and the layers win over what it brings."""
    shutil.copy(repository / "pillar/top.sls", master.roots / "top.sls")
    assert "_errors" not in master.compile("n1")
    (master.roots / "top.sls").write_text("base:\n  '*':\n    - own\n")
    (master.roots / "own.sls").write_text("own: 1\nonly: roots\n")
    told = master.compile("n1")
    assert (told["own"], told["only"]) == (1, "layers")
