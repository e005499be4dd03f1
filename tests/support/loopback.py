"""Tests reach nothing but this computer: an audit hook refuses to connect, or to send, beyond loopback.

It sees what Python's own sockets do in the process of pytest and in its forks. A name is resolved by then, or is let
pass. A network namespace of the test's own is a network of its own: there everything is allowed.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys

EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
INTERNET = (socket.AF_INET, socket.AF_INET6)


class BeyondLoopbackError(AssertionError):
    """A test reaches for another computer. No OSError, which would pass for a BMC that does not answer."""


class Guard:
    """Refuses while ``on``; ``refused`` has what it refused, for somebody may have caught the exception."""

    def __init__(self):
        self.on = False
        self.refused = []
        self._namespace = None

    def install(self):
        """Begin to refuse. A hook cannot be taken away, so there is one for as long as the process lives."""
        if self._namespace is None:
            self._namespace = namespace()
            sys.addaudithook(self._hook)
        self.on = True

    def _hook(self, event, arguments):
        if event not in EVENTS or not self.on:
            return
        sock, address = arguments
        if sock.family not in INTERNET or not beyond(address) or namespace() != self._namespace:
            return
        self.refused.append(address)
        raise BeyondLoopbackError(f"{event} to {address}: tests reach nothing beyond loopback")


def beyond(address):
    """Say whether a socket's address is an IP address of another computer; no address and a name are not."""
    host = address[0] if isinstance(address, tuple) and address else ""
    try:
        ip = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return not (ip.is_loopback or ip.is_unspecified)


def namespace():
    """Return the network namespace of this thread."""
    return os.readlink("/proc/thread-self/ns/net")  # noqa: PTH115  a hook does as little as it can


guard = Guard()
