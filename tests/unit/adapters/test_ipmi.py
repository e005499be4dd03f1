from __future__ import annotations

import pytest

from racksalt.adapters.ipmi import BmcSettings, IpmiPower
from tests.support.bmc_rig import record, rig


@pytest.fixture(name="bmcs")
def bmcs_fixture(tmp_path):
    """Virtual BMCs on demand."""
    with rig(tmp_path) as made:
        yield made


@pytest.fixture(name="power")
def power_fixture(bmcs):
    """The adapter with its usual settings."""
    adapter = IpmiPower(bmcs.secrets)
    yield adapter
    adapter.close()


def test_the_power_port_does_what_it_says(bmcs, power):
    """Look, choose, switch on and off: the machine follows, in one session."""
    [one] = bmcs.add()
    bmc = record(one)
    assert power.observe(bmc) == "off"
    power.boot_next(bmc, "network")
    assert one.machine.boot == ("network", False)
    power.on(bmc)
    power.on(bmc)
    assert power.observe(bmc) == "on"
    power.boot_next(bmc, "disk")
    assert one.machine.boot == ("disk", False)
    power.off(bmc)
    assert power.observe(bmc) == "off"
    assert one.machine.calls == ["on", "on", "off"]
    assert len({entry["session"] for entry in bmcs.log.entries}) == 1


@pytest.mark.parametrize(("uefi", "flags"), [(True, 0xA0), (False, 0x80)])
def test_the_next_boot_is_asked_for_in_the_mode_of_the_settings(bmcs, uefi, flags):
    """Bit 5 of the boot flags is UEFI; bit 3 of parameter 3 keeps the choice beyond a minute."""
    [one] = bmcs.add()
    adapter = IpmiPower(bmcs.secrets, settings=BmcSettings(uefi=uefi))
    try:
        adapter.boot_next(record(one), "network")
    finally:
        adapter.close()
    assert one._desk.options.flags[0] == flags
    assert one._desk.options.clearing == 0x08
