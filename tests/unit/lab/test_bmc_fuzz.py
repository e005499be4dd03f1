"""Junk, in every shape, against a virtual BMC."""

from __future__ import annotations

import logging
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.lab import rmcp
from racksalt.lab.bmc import LabBmc
from tests.support.rmcp_console import PEER, Console, FakeMachine

HANDSHAKE = (rmcp.OPEN_REQUEST, rmcp.RAKP1, rmcp.RAKP3)


def _bmc() -> LabBmc:
    return LabBmc("n1", FakeMachine(), "admin", "secret")


def _recorded() -> list[bytes]:
    """Every packet that a console sends in a normal life, of both suites."""
    packets: list[bytes] = []
    for suite in rmcp.SUITES:
        bmc = _bmc()
        console = Console(bmc, suite)
        handle = bmc.handle
        bmc.handle = lambda packet, peer, handle=handle: (
            packets.append(packet) or handle(packet, peer)
        )
        console.login()
        for netfn, command, data in [
            (0, 1, b""),
            (0, 2, b"\x01"),
            (0, 9, b"\x05\x00\x00"),
            (6, 61, b"\x00"),
        ]:
            console.command(netfn, command, data)
        capabilities = rmcp.build_request(rmcp.Request(6, 0x38, b"\x8e\x04"))
        console.exchange(rmcp.plain_frame(rmcp.IPMI_PAYLOAD, capabilities, legacy=True))
    return packets


def _mutate(packet: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat, insert or splice."""
    raw = bytearray(packet)
    for _ in range(dice.randint(1, 4)):
        kind = dice.randrange(5)
        at = dice.randrange(len(raw) + 1)
        if kind == 0 and raw:
            raw[at % len(raw)] = dice.randrange(256)
        elif kind == 1:
            del raw[at:]
        elif kind == 2:
            raw[at:at] = dice.randbytes(dice.randint(1, 20))
        elif kind == 3:
            raw[at:at] = raw[: dice.randint(0, 40)]
        elif raw:
            raw[at % len(raw)] ^= 1 << dice.randrange(8)
    return bytes(raw)


def _is_harmless(answer: bytes | None) -> bool:
    """An answer outside of sessions: presence, handshake, or one of the three open commands."""
    if answer is None or answer[:4] == rmcp.ASF_CLASS:
        return True
    frame = rmcp.parse_frame(answer)
    if frame.payload_type in (rmcp.OPEN_RESPONSE, rmcp.RAKP2, rmcp.RAKP4):
        return frame.session == 0
    return frame.session == 0 and frame.payload[5] in (0x37, 0x38, 0x54)


def test_mutated_packets_neither_break_a_bmc_nor_command_it(caplog):
    """10,000 spoilt packets of real conversations: no error, no command taken, and a console still works after them."""
    bmc, dice, recorded = _bmc(), random.Random(7), _recorded()
    victim = Console(bmc, rmcp.SUITES[1]).login()
    before = len(bmc.log.entries)
    recorded += [
        victim.packet(*POWER) for POWER in [(0, 2, b"\x00"), (0, 2, b"\x01")] for _ in range(3)
    ]
    genuine = set(recorded)
    with caplog.at_level(logging.ERROR):
        for _ in range(10_000):
            packet = _mutate(dice.choice(recorded), dice)
            if packet not in genuine:
                assert _is_harmless(bmc.handle(packet, PEER)), packet.hex()
    assert caplog.records == []
    assert len(bmc.log.entries) == before
    assert bmc.machine.calls == []
    assert victim.command(0, 1) == (0, b"\x00\x00\x00")
    bmc.reset()
    Console(bmc, rmcp.SUITES[0]).login()


@given(
    packet=st.one_of(
        st.binary(max_size=120),
        st.binary(max_size=120).map(rmcp.IPMI_CLASS.__add__),
        st.builds(rmcp.plain_frame, st.sampled_from(HANDSHAKE), st.binary(max_size=60)),
        st.builds(
            lambda *parts: rmcp.plain_frame(
                rmcp.IPMI_PAYLOAD, rmcp.build_request(rmcp.Request(*parts))
            ),
            st.integers(0, 31).map(lambda n: n * 2),
            st.integers(0, 255),
            st.binary(max_size=30),
        ),
    )
)
def test_random_packets_get_harmless_answers_only(packet):
    """Random bytes, random handshakes and random commands in the clear command nothing."""
    bmc = _bmc()
    assert _is_harmless(bmc.handle(packet, PEER))
    assert list(bmc.log.entries) == []


@pytest.mark.parametrize("suite", rmcp.SUITES, ids=["suite 3", "suite 17"])
def test_random_commands_inside_a_session_always_get_an_answer(suite, caplog):
    """A console that is logged in may ask for anything: it gets a completion code, and the BMC lives."""
    bmc, dice = _bmc(), random.Random(3)
    console = Console(bmc, suite).login()
    with caplog.at_level(logging.ERROR):
        for _ in range(3000):
            netfn, command = dice.randrange(0, 64, 2), dice.randrange(256)
            if (netfn, command) == (6, 0x3C):
                continue
            code, _ = console.command(netfn, command, dice.randbytes(dice.randrange(8)))
            assert 0 <= code <= 0xFF
    assert caplog.records == []


def test_an_operation_costs_the_bmc_less_than_a_millisecond():
    """A status request, sealed and answered, and a whole login stay under their budgets of processor time."""
    bmc = _bmc()
    console = Console(bmc, rmcp.SUITES[1]).login()
    packets = [console.packet(0, 1) for _ in range(500)]
    begun = time.process_time()
    assert all(bmc.handle(packet, PEER) for packet in packets)
    assert (time.process_time() - begun) / 500 < 0.001
