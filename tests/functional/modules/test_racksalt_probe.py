"""Reading a node survives missing programs, programs that hang, and nonsense from firmware."""

from __future__ import annotations

import time

import pytest


def test_a_program_that_is_not_there_is_a_problem_not_an_error(real):
    """What asks goes on without it."""
    told = real.modules.racksalt_probe.run(["racksalt-no-such-program"])
    assert told["code"] is None
    assert told["out"] == ""
    assert "not installed" in told["problem"]


def test_a_program_that_hangs_costs_its_time_and_no_more(real):
    """It is killed with all its children; what it said before is kept."""
    started = time.monotonic()
    told = real.modules.racksalt_probe.run(["sh", "-c", "echo half; sleep 60 & sleep 60"], 0.3)
    assert time.monotonic() - started < 5
    assert told["out"] == "half\n"
    assert "longer than 0.3 s" in told["problem"]


def test_programs_run_beside_each_other_and_answer_in_order(real):
    """Twelve disks that do not answer take as long as a few."""
    started = time.monotonic()
    commands = [["sh", "-c", f"sleep 0.3; echo {number}"] for number in range(8)]
    told = real.modules.racksalt_probe.run_all(commands)
    assert [one["out"].strip() for one in told] == [str(number) for number in range(8)]
    assert time.monotonic() - started < 2


def test_errors_are_kept_apart_from_the_answer(real):
    """A warning does not spoil what is parsed."""
    told = real.modules.racksalt_probe.run(["sh", "-c", "echo '{}'; echo beware >&2; exit 3"])
    assert (told["code"], told["out"], told["err"]) == (3, "{}\n", "beware\n")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"S\xff\xfe1",
        "To Be Filled By O.E.M.",
        "To be filled by O.E.M. ",
        "Default string",
        "System Serial Number",
        "Not Specified",
        "None",
        "N/A",
        "0123456789",
        "................",
        "00000000",
        "\x01\x02",
        "   ",
        "",
        None,
    ],
)
def test_nonsense_of_firmware_is_nothing(real, nonsense):
    """What makers forgot to fill in is absent, so that no two machines seem to be one."""
    assert real.modules.racksalt_probe.clean(nonsense) is None


@pytest.mark.parametrize("sense", ["ABC123", "CN-0X1234", "VMware-42 1a", "10", "Serial 7"])
def test_sense_is_kept(real, sense):
    """A real serial number is left as it is, but for the space around it."""
    assert real.modules.racksalt_probe.clean(f" {sense}\n") == sense
