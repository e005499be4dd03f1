"""Asks a running Kea over its control socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from racksalt.model.errors import DhcpError
from racksalt.network.dhcp import Lease
from racksalt.network.kea import socket_of
from racksalt.settings import Settings

TIMEOUT_S = 10.0
DONE, NOTHING = 0, 3
"""Kea's results: done; done, and there was nothing."""


def ask(
    folder: str, family: int, command: str, arguments: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return the arguments of Kea's answer to a command, {} if there was nothing.

    Raises:
        DhcpError: it does not answer, or refuses.
    """
    # Empty arguments are not the same as none.
    more = {"arguments": dict(arguments)} if arguments else {}
    asked = json.dumps({"command": command, **more}).encode()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(socket_of(folder, family))
            connection.sendall(asked)
            answer = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
    except (OSError, ValueError) as error:
        raise DhcpError(
            f"kea-dhcp{family} does not answer: {error}", "is `racksalt serve-dhcp` running?"
        ) from None
    if answer.get("result") not in (DONE, NOTHING):
        raise DhcpError(f"kea-dhcp{family} refuses {command}: {answer.get('text')}")
    found: dict[str, Any] = answer.get("arguments") or {}
    return found


def kea_leases(settings: Settings) -> list[Lease]:
    """Return the leases of those of the two servers that run.

    Raises:
        DhcpError: one runs, and answers its owner alone.
    """
    found = []
    for family in (4, 6):
        path = socket_of(settings.dhcp.folder, family)
        if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
            raise DhcpError(f"{path}: kea-dhcp{family} answers its owner alone", "ask as root")
        try:
            answer = ask(settings.dhcp.folder, family, f"lease{family}-get-all")
        except DhcpError:
            continue
        found += [_lease(one) for one in answer.get("leases", ())]
    return found


def _lease(told: Mapping[str, Any]) -> Lease:
    return Lease(
        address=told["ip-address"],
        client=told.get("duid") or told["hw-address"],
        ends_at=float(told["cltt"] + told["valid-lft"]),
        name=told.get("hostname") or None,
        iaid=told.get("iaid"),
    )
