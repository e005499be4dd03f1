"""One machine the whole way on a network that has no IPv4 at all."""

from __future__ import annotations

import pytest

from racksalt.lab.qemu.site import DOMAIN, MASTER_V6, make_specs
from tests.support.trial import Trial

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.daemons,
    pytest.mark.timeout(3000),
    # What Salt's client leaves open when a master that is just starting does not answer.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NODE = "q1"
INSTALL_S = 2400


@pytest.fixture(scope="module")
def trial(root):
    """A rack whose master has an IPv6 address only, with one BIOS machine."""
    specs = make_specs(1, uefi_every=0)
    made = Trial(root, specs, families="6", addresses=[f"{MASTER_V6}/64"])
    try:
        made.start()
        yield made
    finally:
        made.say("IPv6 only")
        made.stop()


def test_a_machine_becomes_ready_without_any_ipv4(trial):
    """Firmware, boot loader, live system, installer and installed minion all get by with IPv6."""
    trial.wait_ready(NODE, timeout_s=INSTALL_S)
    assert trial.salt(NODE, "test.ping") == {NODE: True}
    reserved = trial.reserved(NODE)
    assert set(reserved) == {6}
    assert reserved[6] in trial.inside(NODE, "ip -6 -brief address").replace("/", " ").split()
    assert trial.inside(NODE, "ip -4 -brief address show scope global") == ""


def test_its_name_and_address_lead_to_one_another(trial):
    """DNS works over IPv6 and has no A record for it."""
    fqdn, address = f"{NODE}.{DOMAIN}", trial.reserved(NODE)[6]
    assert trial.dig(MASTER_V6, fqdn, "AAAA") == [address]
    assert trial.dig(MASTER_V6, fqdn, "A") == []
    assert trial.dig(MASTER_V6, "-x", address) == [f"{fqdn}."]
