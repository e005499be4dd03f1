"""
Which switch port each interface is plugged into, by LLDP (IEEE 802.1AB-2016): from lldpd where it
runs, else by listening for a few seconds.

In a boot environment the interfaces are raised first, and say one LLDP frame of their own as an
LLDP-MED endpoint: a switch that meets one answers within a second (fast start, ANSI/TIA-1057 section
11.2.1) instead of at its next round half a minute later.
"""

import fcntl
import json
import pathlib
import select
import socket
import struct
import time

_LLDP = 0x88CC
_GROUP = bytes.fromhex("0180c200000e")
_PACKET_ADD_MEMBERSHIP, _SOL_PACKET, _MULTICAST = 1, 263, 0
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_BOOT_ENVIRONMENTS = ("live", "installer")
_LINK_S, _AGAIN_S = 5, 2
_END, _CHASSIS, _PORT, _TTL, _SYSTEM, _PRIVATE = 0, 1, 2, 3, 5, 127
_MAC_SUBTYPES = {_CHASSIS: 4, _PORT: 3}
_ADDRESS_SUBTYPES = {_CHASSIS: 5, _PORT: 4}
_CAPABILITIES, _STATION = 7, 0x80
_MED_ENDPOINT = bytes.fromhex("0012bb01000101")  # capabilities, class I: ANSI/TIA-1057 10.2.2.1
_LAST_VLAN = 4094
_PVID = bytes.fromhex("0080c201")  # IEEE 802.1Q-2018 annex D.2.1


def neighbours(names, seconds=5):
    """
    Return ``{interface: {"chassis", "port", "system", "vlan"}}`` for those of ``names`` that hear a
    neighbour. It takes ``seconds`` at most, and less once every interface with a link has heard.

    names
        interfaces to look at

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_lldp.neighbours '[eth0, eth1]' seconds=32
    """
    told = __salt__["racksalt_probe.run"](["lldpctl", "-f", "json0"])
    known = daemon(told["out"]) if told["code"] == 0 else {}
    left = [name for name in names if name not in known]
    try:
        heard = _listen(left, float(seconds)) if left and float(seconds) > 0 else {}
    except OSError:
        heard = {}  # no right to open such a socket
    return {name: found for name, found in {**known, **heard}.items() if name in names}


def daemon(told):
    """
    Return what lldpd knows, from the output of ``lldpctl -f json0``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_lldp.daemon "$(lldpctl -f json0)"
    """
    try:
        groups = json.loads(told)["lldp"]
        interfaces = [one for group in groups for one in group.get("interface", ())]
        found = {one["name"]: _told_by_daemon(one) for one in interfaces}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
    return {name: neighbour for name, neighbour in found.items() if "port" in neighbour}


def frame(hex_text):
    """
    Return what one LLDP frame says (``hex_text`` from the Ethernet header on): ``{"chassis", "port",
    "system", "vlan"}``; empty for a frame that is none or that takes its sender's word back.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_lldp.frame 0180c200000e02000000000188cc…
    """
    try:
        return _neighbour(bytes.fromhex(hex_text))
    except ValueError:
        return {}


def _told_by_daemon(interface):
    def value(parts, key):
        return parts[0][key][0]["value"] if parts and parts[0].get(key) else None

    chassis, port = interface.get("chassis"), interface.get("port")
    untagged = [one for one in interface.get("vlan", ()) if one.get("pvid")]
    found = {
        "chassis": value(chassis, "id"),
        "port": value(port, "id"),
        "system": value(chassis, "name"),
        "vlan": _vlan(int(untagged[0]["vlan-id"])) if untagged else None,
    }
    return {key: said for key, said in found.items() if said}


def _vlan(number):
    return number if 1 <= number <= _LAST_VLAN else None


def _listen(names, seconds):
    sockets = {}
    try:
        for name in names:
            sockets[_opened(name)] = name
        speaks = (__opts__.get("racksalt") or {}).get("environment") in _BOOT_ENVIRONMENTS
        if speaks:
            _raise_all(sockets)
        return _heard(sockets, time.monotonic() + seconds, speaks)
    finally:
        for one in sockets:
            one.close()


def _opened(name):
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_LLDP))
    listener.bind((name, _LLDP))
    member = struct.pack("iHH8s", socket.if_nametoindex(name), _MULTICAST, len(_GROUP), _GROUP)
    listener.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, member)
    return listener


def _heard(sockets, until, speaks):
    found, next_word = {}, 0.0
    while time.monotonic() < until:
        waiting = [one for one, name in sockets.items() if name not in found and _has_link(name)]
        if not waiting and found:
            break
        if speaks and time.monotonic() >= next_word:
            next_word = time.monotonic() + _AGAIN_S
            _introduce(waiting)
        pause = min(1.0, max(0.0, until - time.monotonic()))
        for one in select.select(waiting, [], [], pause)[0]:
            data, sender = one.recvfrom(2048)
            neighbour = _neighbour(data) if sender[2] != socket.PACKET_OUTGOING else {}
            if neighbour:
                found[sockets[one]] = neighbour
    return found


def _raise_all(sockets):
    for one, name in sockets.items():
        _raise(one, name)
    until = time.monotonic() + _LINK_S
    while time.monotonic() < until and not all(_has_link(name) for name in sockets.values()):
        time.sleep(0.2)


def _introduce(waiting):
    for one in waiting:
        try:
            one.send(_introduction(one.getsockname()[4], one.getsockname()[0]))
        except OSError:
            continue  # its link has just gone


def _introduction(mac, name):
    tlvs = (
        (_CHASSIS, b"\x04" + mac),
        (_PORT, b"\x05" + name.encode()),
        (_TTL, struct.pack("!H", 120)),
        (_CAPABILITIES, struct.pack("!HH", _STATION, _STATION)),
        (_PRIVATE, _MED_ENDPOINT),
        (_END, b""),
    )
    said = b"".join(struct.pack("!H", kind << 9 | len(value)) + value for kind, value in tlvs)
    return _GROUP + mac + struct.pack("!H", _LLDP) + said


def _raise(one, name):
    request = struct.pack("16sh14x", name.encode(), 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(one, _SIOCGIFFLAGS, request))[1]
    if not flags & _IFF_UP:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags | _IFF_UP))


def _has_link(name):
    return __salt__["racksalt_probe.number"](pathlib.Path("/sys/class/net", name, "carrier")) == 1


def _neighbour(data):
    if len(data) < 16 or data[12:14] != struct.pack("!H", _LLDP):
        return {}
    found, at, ttl = {}, 14, 0
    while at + 2 <= len(data):
        head = struct.unpack_from("!H", data, at)[0]
        kind, said = head >> 9, data[at + 2 : at + 2 + (head & 0x1FF)]
        at += 2 + (head & 0x1FF)
        if kind == _END or len(said) < head & 0x1FF:
            break
        if kind == _TTL and len(said) >= 2:
            ttl = struct.unpack_from("!H", said)[0]
        found.update(_meaning(kind, said))
    found = {key: value for key, value in found.items() if value}
    return found if ttl and {"chassis", "port"} <= found.keys() else {}


def _meaning(kind, said):
    if kind in (_CHASSIS, _PORT) and len(said) > 1:
        return {"chassis" if kind == _CHASSIS else "port": _identifier(kind, said[0], said[1:])}
    if kind == _SYSTEM:
        return {"system": _words(said)}
    if kind == _PRIVATE and said[:4] == _PVID and len(said) >= 6:
        return {"vlan": _vlan(struct.unpack_from("!H", said, 4)[0])}
    return {}


def _identifier(kind, subtype, value):
    if subtype == _MAC_SUBTYPES[kind]:
        return value.hex(":")
    if subtype == _ADDRESS_SUBTYPES[kind] and len(value) in (5, 17):  # one byte says the family
        family = socket.AF_INET if len(value) == 5 else socket.AF_INET6
        return socket.inet_ntop(family, value[1:])
    return _words(value)


def _words(said):
    told = __salt__["racksalt_probe.clean"](said)
    return told[:128] if told else None
