"""The page of the boot API says what the code does."""

from __future__ import annotations

from pathlib import Path

from racksalt.boot import script
from racksalt.boot_api.context import NOBODY, Limits
from racksalt.boot_api.nodes import CONFIGURATION
from racksalt.boot_api.reports import _BY_AGENT, MAX_BODY_BYTES

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/boot-api.md").read_text()
FLAT = " ".join(PAGE.split())


def test_the_limits_are_those_of_the_code():
    """Every number of the section on limits is the default in the code."""
    limits = Limits()
    assert (
        f"{limits.address_rate:.0f} requests a second ({limits.address_burst:.0f} at once)" in FLAT
    )
    assert f"{limits.node_rate:.0f} reports a second ({limits.node_burst:.0f} at once)" in FLAT
    every_s = 1 / limits.boot_rate
    assert f"one boot request in {every_s:.0f} seconds ({limits.boot_burst:.0f} at once)" in FLAT
    assert f"journalled once in {limits.repeat_s:.0f} seconds" in FLAT
    assert f"{limits.turned_away_per_minute} are journalled each minute" in FLAT
    assert f"of `{NOBODY}`" in FLAT
    assert (
        f"{limits.unknown_rate:.0f} requests a second ({limits.unknown_burst:.0f} at once)" in FLAT
    )
    assert limits.refusals_per_minute == 5
    assert "Five refusals of a node are journalled each minute" in FLAT
    assert f"at most {MAX_BODY_BYTES // 1024} KiB" in FLAT
    assert f"waits {script.HOLD_S} seconds" in FLAT
    assert script.IMAGE_TRIES == 5
    assert "tries five times" in FLAT


def test_every_event_and_field_is_listed():
    """What a node may report, and every field of it, is on the page."""
    for events in _BY_AGENT.values():
        for event, kind in events.items():
            assert f"`{event}`" in FLAT
            for field in kind.__struct_fields__:
                assert f"`{field}`" in FLAT, f"{event}: {field}"


def test_every_key_of_the_configuration_is_listed():
    """The parts of the configuration that are served are named."""
    assert all(f"`{key}`" in FLAT for key in CONFIGURATION)
