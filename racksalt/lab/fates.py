"""What goes wrong with a virtual machine is in its name: ``r1n4-bad-disk`` has a bad disk.

``FATES`` is the whole list; the page ``docs/how-to/use-the-lab.md`` is checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One way to misbehave. Times in seconds; counts are "the first n times" and start anew with the lab."""

    name: str
    meaning: str
    failing_disk: bool = False
    bmc_delay_s: float = 0.0
    bmc_dead: bool = False
    bmc_drop_rate: float = 0.0
    bmc_full: bool = False
    bmc_lie_rate: float = 0.0
    bmc_says: Literal["on", "off"] | None = None
    power_drops: int = 0
    imposter: bool = False
    dead_boots: int = 0
    unanswered_boots: int = 0
    post_factor: float = 1.0
    rude: bool = False
    failing_stages: int = 0


FOR_EVER = 1_000_000

GOOD = Fate(name="", meaning="Nothing goes wrong.")

FATES: tuple[Fate, ...] = (
    Fate(
        name="bad-disk",
        meaning="The first disk reports that it is failing: burn-in fails, however often it is tried.",
        failing_disk=True,
    ),
    Fate(
        name="flaky-stage",
        meaning="The first two stages that it is given fail; later tries work (light agent only).",
        failing_stages=2,
    ),
    Fate(name="slow-bmc", meaning="The BMC answers two seconds late.", bmc_delay_s=2.0),
    Fate(name="dead-bmc", meaning="The BMC never answers.", bmc_dead=True),
    Fate(
        name="lossy-bmc",
        meaning="The BMC loses three packets of ten, in and out.",
        bmc_drop_rate=0.3,
    ),
    Fate(
        name="full-bmc",
        meaning="The BMC has no session to spare: it lets nobody in.",
        bmc_full=True,
    ),
    Fate(
        name="lying-bmc",
        meaning="One in four of the BMC's power readings is the contrary of the truth.",
        bmc_lie_rate=0.25,
    ),
    Fate(
        name="stuck-bmc",
        meaning="The BMC says that the power is off, whatever it is.",
        bmc_says="off",
    ),
    Fate(
        name="flapping-power",
        meaning="The power goes off by itself in the middle of the work, twice.",
        power_drops=2,
    ),
    Fate(
        name="imposter",
        meaning="It boots with the MAC addresses of another node, but with a system UUID and a serial of its own.",
        imposter=True,
    ),
    Fate(
        name="no-dhcp",
        meaning="The first two network boots get no answer.",
        unanswered_boots=2,
    ),
    Fate(
        name="never-boots",
        meaning="The firmware hangs; nothing is ever asked.",
        dead_boots=FOR_EVER,
    ),
    Fate(name="hangs-once", meaning="The firmware hangs at the first power-on.", dead_boots=1),
    Fate(
        name="slow-boot",
        meaning="The power-on self-test takes ten times as long.",
        post_factor=10.0,
    ),
    Fate(
        name="rude",
        meaning="It sends malformed and oversized requests to the boot API before each right one.",
        rude=True,
    ),
)


def fate_of(node: str) -> Fate:
    """Return the fate that the end of the node's name asks for; ``GOOD`` when it asks for none."""
    for fate in FATES:
        if node == fate.name or node.endswith("-" + fate.name):
            return fate
    return GOOD
