"""``racksalt hardware`` over a small installation."""

from __future__ import annotations

import pytest

from racksalt.model.hardware import BurnResult, Facts, PlaceProposal
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


@pytest.fixture
def tested(home):
    """An installation whose nodes were inventoried and burned in."""
    app = home.open()
    with app.store.write() as tx:
        tx.put([Facts(node="n1", at=1.0, firmware={"bios": "1.9"}, memory=[{"slot": "A1"}])])
        tx.put([PlaceProposal(node="n1", at=1.0, switch="tor", port="1", nic="e", rack="r1")])
        tx.put(
            [
                BurnResult(
                    id=f"{node}/1/disk:sda/read_mib_s",
                    node=node,
                    at=1.0,
                    part="disk:sda",
                    measure="read_mib_s",
                    ok=node == "n1",
                    value=500.0,
                    message="" if node == "n1" else "[red]read error\x1b[2J",
                )
                for node in ("n1", "n2")
            ]
        )
    app.close()
    return home


def test_the_inventory_is_shown_whole(tested):
    """Lists, firmware and where the switch port says that the node stands."""
    found = tested.json("hardware", "inventory", "n1")
    assert found["facts"]["memory"] == [{"slot": "A1"}]
    assert found["place_proposal"]["rack"] == "r1"


def test_burn_in_is_listed_and_the_bad_ones_make_the_exit_status(tested):
    """A program need not read the table."""
    listed = tested.run("hardware", "burn-in", "n1")
    assert listed.exit_code == 0
    bad = tested.run("hardware", "burn-in", "--worse")
    assert bad.exit_code == 1
    assert "n2" in bad.stdout
    assert "FAILED" in bad.stdout
    assert "\x1b[2J" not in bad.stdout


def test_firmware_without_a_baseline_is_free(tested):
    """Nothing is old where nothing is wanted."""
    (row,) = tested.json("hardware", "firmware", "n1")
    assert (row["component"], row["version"], row["verdict"]) == ("bios", "1.9", "free")


def test_what_has_no_bmc_is_not_known_to_be_safe(tested):
    """The exit status says so."""
    assert tested.run("hardware", "security", "n1").exit_code == 1
