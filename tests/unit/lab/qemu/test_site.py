from __future__ import annotations

import pytest

from racksalt.adapters.site_files import SiteFolder, check, write_site
from racksalt.lab.qemu.site import documents, make_specs


@pytest.mark.parametrize("families", ["46", "4", "6"])
def test_the_labs_site_makes_sense(tmp_path, families):
    """`racksalt site check` has nothing to say about it, whatever address families it has."""
    site = write_site(tmp_path, documents(make_specs(16), families=families))
    assert [problem.as_dict() for problem in check(site)] == []


def test_each_machine_is_declared_with_its_own_marks(tmp_path):
    """Serial numbers, UUIDs and MACs are unique, and the site says what the machines will say."""
    specs = make_specs(16)
    declared = SiteFolder(write_site(tmp_path, documents(specs))).declarations().nodes
    assert {name: (node.serial, node.macs) for name, node in declared.items()} == {
        spec.id: (spec.serial, spec.macs) for spec in specs
    }
    assert len({mac for spec in specs for mac in spec.macs}) == 32
    assert len({spec.system_uuid for spec in specs}) == 16


def test_some_machines_have_uefi():
    """Every third one, or none where that is asked for."""
    assert [spec.firmware for spec in make_specs(4)] == ["bios", "bios", "uefi", "bios"]
    assert {spec.firmware for spec in make_specs(4, uefi_every=0)} == {"bios"}


def test_a_machine_without_a_port_is_declared_without_a_bmc(tmp_path):
    """Nobody is sent to a BMC that is not there."""
    specs = make_specs(1)
    assert "bmc" not in documents(specs)["site/nodes.yaml"]["nodes"]["q1"]
