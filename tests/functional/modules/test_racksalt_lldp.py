"""What a switch says of the port that a node is plugged into."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from racksalt.share import share_dir
from tests.support.needs import need

HEADER = "0180c200000e02000000000188cc"


def _tlv(kind: int, value: bytes) -> str:
    return (struct.pack("!H", kind << 9 | len(value)) + value).hex()


FRAME = HEADER + "".join(
    (
        _tlv(1, b"\x04" + bytes.fromhex("02d000000001")),
        _tlv(2, b"\x05Ethernet1/7"),
        _tlv(3, struct.pack("!H", 120)),
        _tlv(5, b"tor-r1"),
        _tlv(127, bytes.fromhex("0080c201") + struct.pack("!H", 110)),
        _tlv(0, b""),
    )
)
SAID = {"chassis": "02:d0:00:00:00:01", "port": "Ethernet1/7", "system": "tor-r1", "vlan": 110}


def test_a_frame_is_read(real):
    """Chassis, port, system name and the port's own VLAN (802.1AB section 8.5, 802.1Q annex D)."""
    assert real.modules.racksalt_lldp.frame(FRAME) == SAID


def test_an_address_as_identifier_is_read(real):
    """Chassis ids may be addresses of either family."""
    tlvs = _tlv(1, b"\x05\x01\x0a\x00\x00\x01") + _tlv(2, b"\x03" + b"\x02\xd0\x00\x00\x00\x07")
    found = real.modules.racksalt_lldp.frame(HEADER + tlvs + _tlv(3, b"\x00\x78"))
    assert found == {"chassis": "10.0.0.1", "port": "02:d0:00:00:00:07"}


@pytest.mark.parametrize(
    "bad",
    [
        "",
        HEADER,
        HEADER + _tlv(0, b""),
        FRAME.replace("88cc", "0800"),
        FRAME.replace(_tlv(3, struct.pack("!H", 120)), _tlv(3, b"\x00\x00")),
        HEADER + _tlv(1, b"\x04") + _tlv(2, b"\x05") + _tlv(3, b"\x00\x78"),
        FRAME[:60],
        "zz",
    ],
)
def test_what_is_no_neighbour_is_nothing(real, bad):
    """Other protocols, cut frames and a neighbour that says good-bye are no neighbours."""
    assert real.modules.racksalt_lldp.frame(bad) == {}


def test_no_frame_breaks_the_reader(real):
    """Each cut and each flipped byte of a frame gives an answer, never an error."""
    raw = bytes.fromhex(FRAME)
    for at in range(len(raw)):
        flipped = raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]
        for one in (raw[:at], flipped):
            assert isinstance(real.modules.racksalt_lldp.frame(one.hex()), dict)


def test_lldpds_own_word_is_read(real):
    """``lldpctl -f json0`` has lists at every level; without a port there is no neighbour."""
    told = {
        "lldp": [
            {
                "interface": [
                    {
                        "name": "eth0",
                        "chassis": [
                            {
                                "id": [{"type": "mac", "value": "02:d0:00:00:00:01"}],
                                "name": [{"value": "tor-r1"}],
                            }
                        ],
                        "port": [{"id": [{"type": "ifname", "value": "Ethernet1/7"}]}],
                        "vlan": [{"vlan-id": "110", "pvid": True}],
                    },
                    {"name": "eth1", "chassis": [{}]},
                ]
            }
        ]
    }
    assert real.modules.racksalt_lldp.daemon(json.dumps(told)) == {"eth0": SAID}


@pytest.mark.parametrize("bad", ["", "[]", "{}", '{"lldp": [{"interface": [{}]}]}', "nothing"])
def test_a_daemon_that_says_nonsense_knows_nobody(real, bad):
    """Another version's output is no error."""
    assert real.modules.racksalt_lldp.daemon(bad) == {}


LISTEN = """
import importlib.util, json, pathlib, sys
spec = importlib.util.spec_from_file_location("lldp", sys.argv[1])
lldp = importlib.util.module_from_spec(spec); spec.loader.exec_module(lldp)
def number(path):
    try: return int(pathlib.Path(path).read_text())
    except (OSError, ValueError): return None
lldp.__opts__ = {"racksalt": {"environment": "live"}}
lldp.__salt__ = {
    "racksalt_probe.run": lambda argv: {"code": None, "out": ""},
    "racksalt_probe.number": number,
    "racksalt_probe.clean": lambda said: said.decode() if isinstance(said, bytes) else said,
}
print(json.dumps(lldp.neighbours(["hwlldp1"], 20)))
"""


@pytest.fixture
def cable():
    """Two network namespaces and a cable between them; lldpd runs at its end of a switch."""
    need("ip", "lldpd", root=True)
    spaces = [f"hardware-{side}-{os.getpid()}" for side in ("node", "tor")]
    for space in spaces:
        subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        pair = ["type", "veth", "peer", "name", "hwlldp2", "netns", spaces[1]]
        subprocess.run(["ip", "-n", spaces[0], "link", "add", "hwlldp1", *pair], check=True)
        subprocess.run(["ip", "-n", spaces[1], "link", "set", "hwlldp2", "up"], check=True)
        yield spaces
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=True)


@pytest.mark.daemons
def test_a_real_switch_daemon_is_heard_at_once(cable, tmp_path):
    """The interface is raised, introduces itself, and lldpd answers long before its next round of 30 s."""
    node, tor = cable
    inside = ["ip", "netns", "exec", tor]
    door = Path(f"/tmp/hardware-lldpd-{os.getpid()}")  # lldpd's own user must be able to reach it
    options = ["-d", "-u", str(door), "-S", "a switch"]
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*inside, "lldpd", *options, "-I", "hwlldp2"], stdout=log, stderr=log
        )
    try:
        while not door.exists() and daemon.poll() is None:
            time.sleep(0.05)
        started = time.monotonic()
        module = Path(share_dir("salt")) / "_modules/racksalt_lldp.py"
        listen = ["ip", "netns", "exec", node, sys.executable, "-c", LISTEN, str(module)]
        heard = subprocess.run(listen, capture_output=True, text=True, check=True, timeout=60)
    finally:
        daemon.terminate()
        daemon.wait(10)
        door.unlink(missing_ok=True)
    found = json.loads(heard.stdout)
    assert found["hwlldp1"]["port"], (tmp_path / "log").read_text()
    assert found["hwlldp1"]["system"]
    assert time.monotonic() - started < 15
