from __future__ import annotations

import pytest

from racksalt.lab import rmcp
from racksalt.lab.bmc import LabBmc
from racksalt.lab.bmc_commands import COMMANDS, log_name
from tests.support.rmcp_console import Console, FakeMachine

SUITE = rmcp.SUITES[1]
POWER_ON = (0x00, 0x02, b"\x01")


@pytest.fixture
def machine():
    """A machine that is off."""
    return FakeMachine()


@pytest.fixture
def bmc(machine):
    """A BMC without a socket."""
    return LabBmc("n1", machine, "admin", "secret")


def test_boot_choice_is_set_read_back_and_used_up(bmc, machine):
    """Parameter 5 shows the choice until the firmware has used it."""
    console = Console(bmc, SUITE).login()
    assert console.command(0x00, 0x08, b"\x05\xa0\x04\x00\x00\x00") == (0, b"")
    assert machine.boot == ("network", False)
    assert console.command(0x00, 0x09, b"\x05\x00\x00") == (0, b"\x01\x05\xa0\x04\x00\x00\x00")
    machine.boot = ("none", False)
    assert console.command(0x00, 0x09, b"\x05\x00\x00") == (0, b"\x01\x05" + bytes(5))
    assert console.command(0x00, 0x08, b"\x05\xc0\x08\x00\x00\x00") == (0, b"")
    assert machine.boot == ("disk", True)


@pytest.mark.parametrize(
    ("netfn", "command", "data", "code"),
    [
        (0x00, 0x02, b"", 0xC7),
        (0x00, 0x02, b"\x07", 0xCC),
        (0x00, 0x02, b"\x03", 0xD5),
        (0x00, 0x08, b"", 0xC7),
        (0x00, 0x08, b"\x06\x00", 0x80),
        (0x00, 0x09, b"\x05", 0xC7),
        (0x06, 0x99, b"", 0xC1),
        (0x06, 0x3C, b"\x01\x02\x03\x04", 0x87),
        (0x06, 0x3D, b"\xfe", 0xC7),
        (0x0A, 0x43, b"", 0xCB),
    ],
)
def test_wrong_requests_get_the_standards_completion_codes(bmc, netfn, command, data, code):
    """Lengths, fields, states and unknown commands are told apart."""
    assert Console(bmc, SUITE).login().command(netfn, command, data) == (code, b"")


def test_operators_words_need_operators_privilege(bmc, machine):
    """Without Set Session Privilege a session is a user: it may look and not touch."""
    console = Console(bmc, SUITE)
    assert (console.open(), console.challenge(), console.prove()) == (0, 0, 0)
    assert console.command(0x00, 0x01)[0] == 0
    assert console.command(*POWER_ON) == (0xD4, b"")
    assert machine.calls == []


@pytest.mark.parametrize(
    ("action", "calls", "power"),
    [
        (0, ["off"], "off"),
        (1, ["on"], "on"),
        (2, ["cycle"], "on"),
        (3, ["cycle"], "on"),
        (5, ["off"], "off"),
    ],
)
def test_each_power_action_reaches_the_machine(bmc, machine, action, calls, power):
    """Off, on, cycle, reset and soft-off of a machine that is on."""
    machine.power = "on"
    assert Console(bmc, SUITE).login().command(0x00, 0x02, bytes((action,))) == (0, b"")
    assert (machine.calls, machine.power) == (calls, power)


def test_all_cipher_suites_are_listed_in_sixteen_byte_pieces(bmc):
    """Suites 3 and 17 with their algorithms; what is beyond the end is empty."""
    console = Console(bmc, SUITE).login()
    code, data = console.command(0x06, 0x54, b"\x0e\x00\x80")
    assert (code, data) == (0, bytes.fromhex("01 c003014181 c011034481"))
    assert console.command(0x06, 0x54, b"\x0e\x00\x81") == (0, b"\x01")


def test_the_session_in_hand_is_described(bmc):
    """Handle, counts, privilege, and the console's address and port."""
    code, data = Console(bmc, SUITE).login().command(0x06, 0x3D, b"\x00")
    assert code == 0
    assert data[1:6] == bytes((63, 1, 2, 4, 0x11))
    assert data[6:10] == bytes((127, 0, 0, 1))


def test_the_log_says_what_was_done():
    """Power actions and boot devices have names of their own."""
    control, option = COMMANDS[0, 2], COMMANDS[0, 8]
    assert [log_name(control, bytes((n,))) for n in (0, 1, 2, 3, 5, 9)] == [
        "power_off",
        "power_on",
        "power_cycle",
        "hard_reset",
        "soft_off",
        "chassis_control",
    ]
    assert log_name(option, b"\x05\x80\x08\x00\x00\x00") == "boot_disk"
    assert log_name(option, b"\x03\x08") == "set_boot_option"
