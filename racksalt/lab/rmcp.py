"""The wire of IPMI over LAN: pure functions from bytes to values and back (IPMI 2.0 §13).

Three formats share UDP port 623: ASF presence (§13.2.3), the IPMI 1.5 frame, of which only the form without a
session is spoken here (§13.6), and RMCP+ (table 13-8), in the clear for the handshake and sealed with HMAC and
AES-CBC afterwards. Anything malformed raises `MalformedError`; nothing else is ever raised for a received packet.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

IPMI_CLASS = b"\x06\x00\xff\x07"
"""RMCP header: version 1.0, no acknowledgement wanted, class IPMI (§13.1.3)."""
ASF_CLASS = b"\x06\x00\xff\x06"
ASF_IANA = 4542

NO_AUTH = 0x00
RMCP_PLUS = 0x06
"""Authentication types in the session header (§13.6) that are spoken here."""

IPMI_PAYLOAD = 0x00
OPEN_REQUEST, OPEN_RESPONSE = 0x10, 0x11
RAKP1, RAKP2, RAKP3, RAKP4 = 0x12, 0x13, 0x14, 0x15
"""Payload types (table 13-16)."""

BMC_ADDRESS = 0x20
_BLOCK = 16


class MalformedError(ValueError):
    """The packet is not what the standard says; it is dropped without an answer."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite (table 22-20): its algorithms, and how many bytes of the MAC travel."""

    id: int
    authentication: int
    integrity: int
    confidentiality: int
    digest: str
    mac_length: int


SUITES = (
    Suite(3, 0x01, 0x01, 0x01, "sha1", 12),
    Suite(17, 0x03, 0x04, 0x01, "sha256", 16),
)
"""Suite 3: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128. Suite 17: the same with SHA256 and 128 bits of MAC."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one session (§13.31, §13.32)."""

    suite: Suite
    k1: bytes
    aes: bytes

    @classmethod
    def derive(cls, suite: Suite, session_integrity_key: bytes) -> Keys:
        """Return K1 and the AES key, the first 16 bytes of K2, from the session integrity key."""
        k1 = hmac.digest(session_integrity_key, b"\x01" * 20, suite.digest)
        k2 = hmac.digest(session_integrity_key, b"\x02" * 20, suite.digest)
        return cls(suite, k1, k2[:_BLOCK])


@dataclass(frozen=True, slots=True)
class Frame:
    """One RMCP packet of class IPMI, its session trailer still unchecked. ``legacy`` is the IPMI 1.5 format."""

    legacy: bool
    payload_type: int
    session: int
    sequence: int
    payload: bytes
    encrypted: bool = False
    authenticated: bool = False


def presence_pong(packet: bytes) -> bytes | None:
    """Answer an ASF presence ping; None when the packet is none (§13.2.3, §13.2.4)."""
    if len(packet) < 12 or packet[:4] != ASF_CLASS or packet[8] != 0x80:
        return None
    if struct.unpack_from(">I", packet, 4)[0] != ASF_IANA:
        return None
    entities_ipmi_and_asf_1 = 0x81
    return ASF_CLASS + struct.pack(
        ">IBBBBIIBB6x", ASF_IANA, 0x40, packet[9], 0, 16, ASF_IANA, 0, entities_ipmi_and_asf_1, 0
    )


def parse_frame(packet: bytes) -> Frame:
    """Take the session header off a packet; checks lengths, not authenticity.

    Raises:
        MalformedError: other class, other authentication type, or lengths that do not add up.
    """
    if packet[:4] != IPMI_CLASS or len(packet) < 14:
        raise MalformedError("not an IPMI packet")
    if packet[4] == NO_AUTH:
        sequence, session, length = struct.unpack_from("<IIB", packet, 5)
        # One legacy pad byte may follow the payload (§13.6, last row).
        if len(packet) not in (14 + length, 15 + length):
            raise MalformedError("length of the payload")
        return Frame(True, IPMI_PAYLOAD, session, sequence, packet[14 : 14 + length])
    if packet[4] != RMCP_PLUS or len(packet) < 16:
        raise MalformedError("authentication type")
    kind = packet[5]
    session, sequence, length = struct.unpack_from("<IIH", packet, 6)
    if len(packet) < 16 + length:
        raise MalformedError("length of the payload")
    return Frame(
        False,
        kind & 0x3F,
        session,
        sequence,
        packet[16 : 16 + length],
        encrypted=bool(kind & 0x80),
        authenticated=bool(kind & 0x40),
    )


def plain_frame(payload_type: int, payload: bytes, *, legacy: bool = False) -> bytes:
    """Return a packet outside of any session."""
    if legacy:
        return IPMI_CLASS + struct.pack("<BIIB", NO_AUTH, 0, 0, len(payload)) + payload
    return IPMI_CLASS + struct.pack("<BBIIH", RMCP_PLUS, payload_type, 0, 0, len(payload)) + payload


def seal(keys: Keys, session: int, sequence: int, payload: bytes) -> bytes:
    """Return an encrypted and authenticated packet with an IPMI payload (tables 13-8 and 13-20)."""
    pad = -(len(payload) + 1) % _BLOCK
    clear = payload + bytes(range(1, pad + 1)) + bytes((pad,))
    vector = os.urandom(_BLOCK)
    encryptor = Cipher(algorithms.AES(keys.aes), modes.CBC(vector)).encryptor()
    body = vector + encryptor.update(clear) + encryptor.finalize()
    signed = struct.pack("<BBIIH", RMCP_PLUS, 0xC0, session, sequence, len(body)) + body
    filler = -(len(signed) + 2) % 4
    signed += b"\xff" * filler + bytes((filler, 0x07))
    mac = hmac.digest(keys.k1, signed, keys.suite.digest)[: keys.suite.mac_length]
    return IPMI_CLASS + signed + mac


def unseal(keys: Keys, packet: bytes, frame: Frame) -> bytes:
    """Check the MAC of a packet, decrypt its payload and return it.

    Raises:
        MalformedError: not both encrypted and authenticated, wrong MAC, or wrong padding.
    """
    if frame.legacy or not (frame.encrypted and frame.authenticated):
        raise MalformedError("a session's packets are encrypted and authenticated")
    cut = len(packet) - keys.suite.mac_length
    end = 16 + len(frame.payload)
    # Up to three pad bytes, their number, and the next-header byte stand between payload and MAC.
    if cut < end + 2 or packet[cut - 1] != 0x07 or packet[cut - 2] != cut - end - 2:
        raise MalformedError("trailer")
    mac = hmac.digest(keys.k1, packet[4:cut], keys.suite.digest)[: keys.suite.mac_length]
    if not hmac.compare_digest(mac, packet[cut:]):
        raise MalformedError("authentication code")
    return _decrypt(keys, frame.payload)


def _decrypt(keys: Keys, body: bytes) -> bytes:
    if len(body) < 2 * _BLOCK or len(body) % _BLOCK:
        raise MalformedError("length of the encrypted payload")
    decryptor = Cipher(algorithms.AES(keys.aes), modes.CBC(body[:_BLOCK])).decryptor()
    clear = decryptor.update(body[_BLOCK:]) + decryptor.finalize()
    pad = clear[-1]
    if pad >= _BLOCK or clear[len(clear) - 1 - pad : -1] != bytes(range(1, pad + 1)):
        raise MalformedError("padding")
    return clear[: len(clear) - 1 - pad]


@dataclass(frozen=True, slots=True)
class Request:
    """An IPMI request (§13.8). ``sequence`` and the addresses go back unchanged in the answer."""

    netfn: int
    command: int
    data: bytes
    responder: int = BMC_ADDRESS
    responder_lun: int = 0
    requester: int = 0x81
    requester_lun: int = 0
    sequence: int = 0


def _checksum(data: bytes) -> int:
    return -sum(data) & 0xFF


def parse_request(payload: bytes) -> Request:
    """Take an IPMI message apart and check both checksums.

    Raises:
        MalformedError: too short, wrong checksum, or a response instead of a request.
    """
    if len(payload) < 7 or sum(payload[:3]) & 0xFF or sum(payload[3:]) & 0xFF:
        raise MalformedError("checksum of the message")
    if payload[1] >> 2 & 1:
        raise MalformedError("a response, not a request")
    return Request(
        netfn=payload[1] >> 2,
        command=payload[5],
        data=payload[6:-1],
        responder=payload[0],
        responder_lun=payload[1] & 3,
        requester=payload[3],
        requester_lun=payload[4] & 3,
        sequence=payload[4] >> 2,
    )


def build_request(request: Request) -> bytes:
    """Return the bytes of a request; the inverse of `parse_request`."""
    head = bytes((request.responder, request.netfn << 2 | request.responder_lun))
    body = bytes(
        (request.requester, request.sequence << 2 | request.requester_lun, request.command)
    )
    return _message(head, body + request.data)


def build_response(request: Request, code: int, data: bytes = b"") -> bytes:
    """Return the bytes of the answer to ``request`` with its completion code (§5.2)."""
    head = bytes((request.requester, (request.netfn | 1) << 2 | request.requester_lun))
    body = bytes(
        (request.responder, request.sequence << 2 | request.responder_lun, request.command, code)
    )
    return _message(head, body + data)


def _message(head: bytes, body: bytes) -> bytes:
    return head + bytes((_checksum(head),)) + body + bytes((_checksum(body),))
