from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.lab import rmcp
from racksalt.lab.bmc import LabBmc
from racksalt.lab.bmc_session import OPERATOR, ReplayWindow
from tests.support.rmcp_console import Console, FakeMachine

SUITES = pytest.mark.parametrize("suite", rmcp.SUITES, ids=["suite 3", "suite 17"])
SUITE = rmcp.SUITES[1]


class Ticker:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock():
    """A clock of one's own."""
    return Ticker()


@pytest.fixture
def bmc(clock):
    """A BMC without a socket."""
    return LabBmc("n1", FakeMachine(), "admin", "secret", clock=clock)


@SUITES
def test_a_wrong_password_is_refused_by_both_ends(bmc, suite):
    """RAKP 2 does not verify at the console, and RAKP 3 is answered with status 0Fh."""
    console = Console(bmc, suite, password="wrong")
    assert console.open() == 0
    assert console.challenge() == 0
    assert not console.bmc_knows_password
    assert console.prove() == 0x0F
    assert bmc.sessions.active(1000.0) == []


def test_an_unknown_name_is_refused_in_rakp_2(bmc):
    """Status 0Dh, and the half-open session is gone."""
    console = Console(bmc, SUITE, username="root")
    assert console.open() == 0
    assert console.challenge() == 0x0D
    assert console.challenge() == 0x02


def test_suites_that_the_bmc_does_not_have_are_refused(bmc):
    """An unknown algorithm, and a mixture of two suites, get status 11h."""
    for suite in (
        rmcp.Suite(1, 1, 0, 0, "sha1", 12),
        rmcp.Suite(0, 1, 4, 1, "sha1", 12),
        rmcp.Suite(0, 0, 0, 0, "sha1", 12),
    ):
        assert Console(bmc, suite).open() == 0x11


def test_a_session_never_exceeds_the_role_it_asked_for(bmc):
    """A session opened as user cannot become administrator: completion code 81h."""
    console = Console(bmc, SUITE)
    console.role = 0x12
    assert (console.open(), console.challenge(), console.prove()) == (0, 0, 0)
    assert console.command(0x06, 0x3B, b"\x04") == (0x81, b"")


def test_late_packets_are_taken_inside_the_window_only(bmc):
    """16 behind is taken once, 17 behind or 16 ahead never."""
    console = Console(bmc, SUITE).login()
    early = [console.packet(0x00, 0x01) for _ in range(17)]
    for packet in early[2::14]:
        assert console.exchange(packet)
    assert console.exchange(early[0])
    assert console.exchange(early[0]) is None
    console.sequence += 16
    assert console.exchange(console.packet(0x00, 0x01)) is None


def test_retransmitted_handshakes_get_the_same_answers(bmc):
    """A lost RAKP 2 or 4 can be asked for again without spoiling the session."""
    console = Console(bmc, SUITE)
    console.open()
    assert console.exchange(console.rakp1()) == console.exchange(console.rakp1())
    console.challenge()
    assert console.exchange(console.rakp3()) == console.exchange(console.rakp3())
    assert console.prove() == 0
    assert console.command(0x00, 0x01)[0] == 0


def test_an_idle_session_is_gone_after_a_minute(bmc, clock):
    """60 s without a packet end a session; a packet in time keeps it."""
    console = Console(bmc, SUITE).login()
    clock.now += 59
    assert console.command(0x00, 0x01)[0] == 0
    clock.now += 59
    assert console.command(0x00, 0x01)[0] == 0
    clock.now += 61
    assert console.exchange(console.packet(0x00, 0x01)) is None


def test_sessions_are_limited_and_places_come_back(bmc, clock):
    """The seventeenth session is refused with status 01h until handshakes time out or one is closed."""
    consoles = [Console(bmc, SUITE) for _ in range(17)]
    assert [one.open() for one in consoles] == [0] * 16 + [1]
    clock.now += 16
    consoles[16].login()
    assert consoles[0].challenge() == 0x02


def test_several_sessions_work_side_by_side_until_closed(bmc):
    """Closing one session ends that one only."""
    one, two = (Console(bmc, suite).login() for suite in rmcp.SUITES)
    assert len(bmc.sessions.active(1000.0)) == 2
    assert one.command(0x06, 0x3C, one.session.to_bytes(4, "little")) == (0, b"")
    assert one.exchange(one.packet(0x00, 0x01)) is None
    assert two.command(0x00, 0x01)[0] == 0


def test_an_account_grants_no_more_than_its_privilege(clock):
    """An operator's account refuses the role of an administrator with status 0Ah and serves an operator."""
    bmc = LabBmc("n1", FakeMachine(), "admin", "secret", clock=clock, privilege=OPERATOR)
    console = Console(bmc, SUITE)
    assert (console.open(), console.challenge()) == (0, 0x0A)
    console.role = 0x13
    assert (console.open(), console.challenge(), console.prove()) == (0, 0, 0)
    assert console.command(0x06, 0x3B, b"\x03") == (0, b"\x03")
    assert console.command(0x00, 0x02, b"\x01") == (0, b"")


@given(numbers=st.lists(st.integers(0, 80), max_size=120))
def test_the_window_takes_each_number_once_and_none_from_far_away(numbers):
    """What is taken is new, not zero, and from 16 behind to 15 ahead of the highest taken so far."""
    window, taken, highest = ReplayWindow(), set(), 0
    for number in numbers:
        expected = number > 0 and number not in taken and -16 <= number - highest <= 15
        assert window.accept(number) is expected
        if expected:
            taken.add(number)
            highest = max(highest, number)
