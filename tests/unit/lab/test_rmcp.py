from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.lab import rmcp

KEYS = [rmcp.Keys.derive(suite, b"k" * 20) for suite in rmcp.SUITES]


def test_presence_ping_is_answered_with_its_tag():
    """A ping of §13.2.3 gets the pong of §13.2.4: its tag, IPMI supported."""
    ping = bytes.fromhex("06 00 ff 06 00 00 11 be 80 2a 00 00")
    pong = rmcp.presence_pong(ping)
    assert pong == bytes.fromhex(
        "06 00 ff 06 00 00 11 be 40 2a 00 10 00 00 11 be 00 00 00 00 81 00 00 00 00 00 00 00"
    )


@pytest.mark.parametrize(
    "packet", [b"", b"\x06\x00\xff\x06", bytes(12), rmcp.IPMI_CLASS + bytes(8)]
)
def test_what_is_no_ping_gets_no_pong(packet):
    """Only a complete ping of the right maker is answered."""
    assert rmcp.presence_pong(packet) is None


@pytest.mark.parametrize("keys", KEYS, ids=["suite 3", "suite 17"])
@given(payload=st.binary(max_size=200), session=st.integers(1, 2**32 - 1))
def test_what_is_sealed_is_unsealed(keys, payload, session):
    """Any payload survives sealing and unsealing, whatever padding it needs."""
    packet = rmcp.seal(keys, session, 7, payload)
    frame = rmcp.parse_frame(packet)
    assert (frame.session, frame.sequence) == (session, 7)
    assert len(packet) % 4 == (keys.suite.mac_length) % 4
    assert rmcp.unseal(keys, packet, frame) == payload


@pytest.mark.parametrize("keys", KEYS, ids=["suite 3", "suite 17"])
@given(data=st.data())
def test_a_spoilt_packet_is_never_unsealed(keys, data):
    """One changed bit after the RMCP header is noticed."""
    packet = bytearray(rmcp.seal(keys, 5, 1, b"power off"))
    bit = data.draw(st.integers(32, len(packet) * 8 - 1))
    packet[bit // 8] ^= 1 << bit % 8
    with pytest.raises(rmcp.MalformedError):
        rmcp.unseal(keys, bytes(packet), rmcp.parse_frame(bytes(packet)))


def test_a_packet_in_the_clear_is_never_unsealed():
    """A session's packet that is not encrypted and authenticated is refused."""
    frame = rmcp.parse_frame(rmcp.plain_frame(rmcp.IPMI_PAYLOAD, bytes(48)))
    with pytest.raises(rmcp.MalformedError, match="encrypted"):
        rmcp.unseal(KEYS[0], bytes(64), frame)


@given(
    netfn=st.integers(0, 31).map(lambda n: n * 2),
    command=st.integers(0, 255),
    data=st.binary(max_size=40),
    sequence=st.integers(0, 63),
    lun=st.integers(0, 3),
)
def test_a_request_is_read_back_as_it_was_built(netfn, command, data, sequence, lun):
    """Building and parsing a request are inverses."""
    request = rmcp.Request(
        netfn, command, data, responder_lun=lun, requester_lun=lun, sequence=sequence
    )
    assert rmcp.parse_request(rmcp.build_request(request)) == request


def test_a_wrong_checksum_is_refused():
    """Both checksums of a message are looked at."""
    good = rmcp.build_request(rmcp.Request(6, 1, b"x"))
    for index in range(len(good)):
        bad = bytearray(good)
        bad[index] ^= 0x10
        with pytest.raises(rmcp.MalformedError):
            rmcp.parse_request(bytes(bad))


@given(
    packet=st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(rmcp.IPMI_CLASS.__add__))
)
def test_parsing_junk_raises_nothing_but_malformed(packet):
    """Whatever comes in, it is a frame or it is malformed."""
    try:
        frame = rmcp.parse_frame(packet)
    except rmcp.MalformedError:
        return
    with pytest.raises(rmcp.MalformedError):
        rmcp.unseal(KEYS[1], packet, frame)
