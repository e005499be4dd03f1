"""The other end of RMCP+: a console that speaks packet by packet to `LabBmc.handle`."""

from __future__ import annotations

import hmac
import os
import struct

from racksalt.lab import rmcp
from racksalt.lab.bmc import LabBmc

PEER = ("127.0.0.1", 40_000)


class FakeMachine:
    """A power rail and a boot choice, and how often each was touched."""

    def __init__(self) -> None:
        self.power = "off"
        self.boot = ("none", False)
        self.calls: list[str] = []

    def power_state(self):
        """Return the rail's state."""
        return self.power

    def power_on(self) -> None:
        """Switch on."""
        self.calls.append("on")
        self.power = "on"

    def power_off(self) -> None:
        """Switch off."""
        self.calls.append("off")
        self.power = "off"

    def power_cycle(self) -> None:
        """Off and on again."""
        self.calls.append("cycle")
        self.power = "on"

    def set_boot_device(self, device, persistent) -> None:
        """Keep the choice."""
        self.boot = (device, persistent)

    def get_boot_device(self):
        """Return the choice."""
        return self.boot


class Console:
    """Logs in and sends commands; every step can be taken alone and its packet be spoilt."""

    def __init__(self, bmc: LabBmc, suite: rmcp.Suite, username="admin", password="secret") -> None:
        self.bmc = bmc
        self.suite = suite
        self.username = username.encode()
        self.password = password.encode()
        self.role = 0x14
        self.id = 0x0A0B0C0D
        self.random = os.urandom(16)
        self.sequence = 0
        self.rq_sequence = 0
        self.keys: rmcp.Keys | None = None

    def exchange(self, packet: bytes) -> bytes | None:
        """Send a packet and return the answer."""
        return self.bmc.handle(packet, PEER)

    def open_request(self, tag: int = 1) -> bytes:
        """Return RMCP+ Open Session Request."""
        chosen = (self.suite.authentication, self.suite.integrity, self.suite.confidentiality)
        records = b"".join(struct.pack("<B2xBB3x", i, 8, one) for i, one in enumerate(chosen))
        payload = struct.pack("<BB2xI", tag, 0, self.id) + records
        return rmcp.plain_frame(rmcp.OPEN_REQUEST, payload)

    def rakp1(self, tag: int = 2) -> bytes:
        """Return RAKP message 1."""
        payload = struct.pack("<B3xI", tag, self.session) + self.random
        payload += bytes((self.role, 0, 0, len(self.username))) + self.username
        return rmcp.plain_frame(rmcp.RAKP1, payload)

    def rakp3(self, tag: int = 3) -> bytes:
        """Return RAKP message 3."""
        proof = self._mac(self.bmc_random + struct.pack("<I", self.id) + self._identity())
        return rmcp.plain_frame(rmcp.RAKP3, struct.pack("<BB2xI", tag, 0, self.session) + proof)

    def open(self) -> int:
        """Ask for a session; returns the status."""
        answer = rmcp.parse_frame(self.exchange(self.open_request())).payload
        if answer[1] == 0:
            self.session = struct.unpack_from("<I", answer, 8)[0]
        return answer[1]

    def challenge(self) -> int:
        """Exchange RAKP 1 and 2 and check the BMC's proof; returns the status."""
        answer = rmcp.parse_frame(self.exchange(self.rakp1())).payload
        if answer[1]:
            return answer[1]
        self.bmc_random, self.guid = answer[8:24], answer[24:40]
        ids = struct.pack("<II", self.id, self.session)
        proof = self._mac(ids + self.random + self.bmc_random + self.guid + self._identity())
        self.bmc_knows_password = proof == answer[40:]
        return 0

    def prove(self) -> int:
        """Exchange RAKP 3 and 4 and derive the keys; returns the status."""
        answer = rmcp.parse_frame(self.exchange(self.rakp3())).payload
        if answer[1]:
            return answer[1]
        sik = self._mac(self.random + self.bmc_random + self._identity())
        check = self.random + struct.pack("<I", self.session) + self.guid
        mac = hmac.digest(sik, check, self.suite.digest)[: self.suite.mac_length]
        assert mac == answer[8:]
        self.keys = rmcp.Keys.derive(self.suite, sik)
        return 0

    def login(self) -> Console:
        """Do the whole handshake and ask for administrator privilege."""
        assert self.open() == 0
        assert self.challenge() == 0
        assert self.prove() == 0
        assert self.command(0x06, 0x3B, b"\x04") == (0, b"\x04")
        return self

    def packet(self, netfn: int, command: int, data: bytes = b"") -> bytes:
        """Return a sealed request under the next sequence numbers."""
        self.sequence += 1
        self.rq_sequence = (self.rq_sequence + 1) % 64
        request = rmcp.Request(netfn, command, data, sequence=self.rq_sequence)
        return rmcp.seal(self.keys, self.session, self.sequence, rmcp.build_request(request))

    def read(self, packet: bytes) -> tuple[int, bytes]:
        """Return completion code and data of a sealed answer."""
        frame = rmcp.parse_frame(packet)
        assert frame.session == self.id
        message = rmcp.unseal(self.keys, packet, frame)
        return message[6], message[7:-1]

    def command(self, netfn: int, command: int, data: bytes = b"") -> tuple[int, bytes]:
        """Send a command; returns completion code and data."""
        return self.read(self.exchange(self.packet(netfn, command, data)))

    def _identity(self) -> bytes:
        return bytes((self.role, len(self.username))) + self.username

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self.password, data, self.suite.digest)
