"""The machine's own management controller, asked from inside through ``/dev/ipmi0`` with ipmitool."""

import pathlib
import re

_DEVICES = ("dev/ipmi0", "dev/ipmi/0", "dev/ipmidev/0")
_CONTROLLER = {
    "vendor": "Manufacturer Name",
    "firmware": "Firmware Revision",
    "ipmi_version": "IPMI Version",
}
_LAN = {"address": "IP Address", "mac": "MAC Address", "address_source": "IP Address Source"}
_NOTHING = ("0.0.0.0", "00:00:00:00:00:00")  # noqa: S104 - what a BMC without an address tells


def info(root="/"):
    """
    Return ``{"vendor", "firmware", "ipmi_version", "address", "mac", "address_source"}`` as far as
    the BMC tells them; empty where the kernel sees no BMC. No credentials are asked or told.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_bmc.info
    """
    if not any(pathlib.Path(root, device).exists() for device in _DEVICES):
        return {}
    asked = [["ipmitool", "mc", "info"], ["ipmitool", "lan", "print"]]
    controller, lan = (one["out"] for one in __salt__["racksalt_probe.run_all"](asked, together=1))
    found = {**_read(controller, _CONTROLLER), **_read(lan, _LAN)}
    return {key: value for key, value in found.items() if value and value not in _NOTHING}


def _read(told, wanted):
    lines = [re.split(r"\s+: ", line, maxsplit=1) for line in told.splitlines()]
    said = dict(reversed([pair for pair in lines if len(pair) == 2]))  # the first of a name counts
    clean = __salt__["racksalt_probe.clean"]
    return {key: (clean(said.get(name)) or "")[:128] for key, name in wanted.items()}
