"""What happens between power-on and an operating system: self-test, boot order, iPXE.

The boot order is network, then disk, unless the BMC asked for another first device. When nothing boots, the order is
gone through again, as server firmware does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from racksalt.lab import ipxe
from racksalt.lab.hardware import boot_mac
from racksalt.lab.http import HttpError

if TYPE_CHECKING:
    from racksalt.lab.machine import Machine

AGAIN_S = 2.0
"""Seconds from the end of a boot order in which nothing booted to its next round."""
NO_ANSWER_S = 3.0
"""Seconds that the network boot waits for an answer that does not come."""
_ARGUMENTS = ("node", "boot", "environment", "token", "url", "master", "master_finger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What was booted. All but ``name`` are empty for a system on the machine's own disk."""

    name: Literal["live", "installer", "local"]
    node: str = ""
    boot: str = ""
    token: str = field(default="", repr=False)
    url: str = ""
    master: str = ""
    master_finger: str = ""


class RestartedError(Exception):
    """The boot script asked for a restart."""


async def start_up(machine: Machine) -> Environment:
    """Return what boots; waits for ever while nothing does. Raises RestartedError."""
    await machine.wait(machine.bench.post_s * machine.fate.post_factor)
    if machine.starts <= machine.fate.dead_boots:
        machine.say("firmware: hangs")
        await asyncio.Event().wait()
    network_first = machine.take_boot_device() != "disk"
    order = (_from_network, _from_disk) if network_first else (_from_disk, _from_network)
    while True:
        for device in order:
            found = await device(machine)
            if found is not None:
                return found
        machine.say("firmware: no bootable device")
        await machine.wait(AGAIN_S)


async def _from_disk(machine: Machine) -> Environment | None:
    return Environment(name="local") if machine.has_system() else None


async def _from_network(machine: Machine) -> Environment | None:
    """Run iPXE as if DHCP had pointed it at the boot API."""
    machine.network_boots += 1
    if machine.network_boots <= machine.fate.unanswered_boots:
        machine.say("network boot: no answer to DHCP")
        await machine.wait(NO_ANSWER_S)
        return None
    variables = {
        "mac": boot_mac(machine.hardware),
        "uuid": machine.hardware["system_uuid"],
        "serial": machine.hardware["serial"],
        "buildarch": "x86_64",
        "platform": "pcbios",
    }
    asked = {"mac": variables["mac"], "uuid": variables["uuid"], "serial": variables["serial"]}
    query = urlencode({**asked, "arch": "x86_64"})
    script = await _fetch(machine, f"{machine.bench.boot_url}/v1/boot/script?{query}")
    if script is None:
        await machine.wait(NO_ANSWER_S)
        return None
    running = ipxe.interpret(ipxe.Interpreter(variables), script)
    answer: object = None
    while True:
        try:
            action = running.send(answer)
        except StopIteration:
            return None
        found, answer = await _act(machine, action)
        if found is not None:
            running.close()
            return found


async def _act(machine: Machine, action: ipxe.Action) -> tuple[Environment | None, object]:
    """Do what the script asks; return the booted environment, or the answer for the script."""
    if isinstance(action, ipxe.Fetch):
        return None, await _fetch(machine, action.url)
    if isinstance(action, ipxe.Wait):
        await machine.wait(action.seconds)
    elif isinstance(action, ipxe.Say):
        machine.say(f"iPXE: {action.text[:200]}")
    elif isinstance(action, ipxe.BootDisk):
        return await _from_disk(machine), False
    elif isinstance(action, ipxe.Restart):
        raise RestartedError
    elif isinstance(action, ipxe.BootKernel):
        return environment_of(action), False
    # The images that the script names are not fetched: their content is this lab.
    return None, True


def environment_of(kernel: ipxe.BootKernel) -> Environment | None:
    """Return the environment that the kernel's arguments describe; None when one is missing.

    Only the fingerprint of the Salt master may be left out: a site of light agents has no master.
    """
    values = kernel.values()
    found = {name: values.get(f"racksalt.{name}", "") for name in _ARGUMENTS}
    name = found.pop("environment")
    if not all(value for key, value in found.items() if key != "master_finger"):
        return None
    if name == "live":
        return Environment(name="live", **found)
    return Environment(name="installer", **found) if name == "installer" else None


async def _fetch(machine: Machine, url: str) -> str | None:
    """Return a script from the boot API, or None."""
    try:
        answer = await machine.caller.call("GET", url)
    except HttpError:
        return None
    if answer.status != 200:
        machine.say(f"network boot: the boot API said {answer.status}")
        return None
    return answer.body.decode("utf-8", "replace")
