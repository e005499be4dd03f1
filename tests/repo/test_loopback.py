"""No test reaches beyond loopback: what tests/conftest.py installs does refuse, and refuses nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import threading

import pytest

from tests.support.loopback import BeyondLoopbackError, beyond, guard

ELSEWHERE, ELSEWHERE_6 = "192.0.2.1", "2001:db8::1"  # kept for documentation: nobody's
CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def refused(host):
    """Expect that the guard refuses an address, and keep it from failing the test itself."""
    before = len(guard.refused)
    with pytest.raises(BeyondLoopbackError, match=host):
        yield
    assert [address[0] for address in guard.refused[before:]] == [host]
    del guard.refused[before:]


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, ELSEWHERE), (socket.AF_INET6, ELSEWHERE_6)]
)
def test_other_computers_are_refused(family, host):
    """Neither a connection nor a packet goes to another computer, and the error names it."""
    with socket.socket(family) as stream, socket.socket(family, socket.SOCK_DGRAM) as packets:
        stream.settimeout(0.1)
        for reach in (
            lambda: stream.connect((host, 9)),
            lambda: stream.connect_ex((host, 9)),
            lambda: packets.connect((host, 9)),
            lambda: packets.sendto(b"x", (host, 9)),
            lambda: packets.sendto(b"x", 0, (host, 9)),
            lambda: packets.sendmsg([b"x"], [], 0, (host, 9)),
        ):
            with refused(host):
                reach()


def test_asyncio_is_no_way_around():
    """What an event loop connects is refused too."""

    async def connect():
        with socket.socket() as stream:
            stream.setblocking(False)
            await asyncio.get_running_loop().sock_connect(stream, (ELSEWHERE, 9))

    with refused(ELSEWHERE):
        asyncio.run(connect())


@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.64.0.10"), (socket.AF_INET6, "::1")],
)
def test_loopback_passes(family, host):
    """Every address of loopback is as near as can be."""
    with socket.socket(family) as server, socket.socket(family) as client:
        server.bind((host, 0))
        server.listen()
        client.connect(server.getsockname()[:2])
    with (
        socket.socket(family, socket.SOCK_DGRAM) as server,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        server.bind((host, 0))
        client.sendto(b"x", server.getsockname()[:2])
        assert server.recv(9) == b"x"


def test_unix_sockets_pass(tmp_path):
    """A file is no network."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("10.0.0.1", 1), True),
        (("255.255.255.255", 1), True),
        (("fe80::1%eth0", 1, 0, 2), True),
        (("::ffff:192.0.2.1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), False),
        (("0.0.0.0", 1), False),  # Linux takes it for loopback
        (("localhost", 1), False),
        (("", 1), False),
        (None, False),
    ],
)
def test_which_addresses_are_beyond(address, expected):
    """IP addresses of others are; names and nothing are not."""
    assert beyond(address) is expected


@pytest.mark.needs(root=True)
def test_a_network_of_its_own_is_free():
    """In another network namespace than pytest's the guard refuses nothing: there is nobody to be reached."""
    raised = []

    def reach():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raised.append(OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())))
            return
        with socket.socket() as there:
            try:
                there.connect((ELSEWHERE, 9))
            except (OSError, AssertionError) as error:
                raised.append(error)

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join()
    (error,) = raised
    assert isinstance(error, OSError)
    assert "unreachable" in str(error)
    with socket.socket() as here, refused(ELSEWHERE):
        here.connect((ELSEWHERE, 9))


def test_it_can_be_switched_off(monkeypatch):
    """The end-to-end tests reach their machines: while it is off the guard says nothing."""
    monkeypatch.setattr(guard, "on", False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets, contextlib.suppress(OSError):
        packets.connect((ELSEWHERE, 9))  # sends nothing
    assert not guard.refused
