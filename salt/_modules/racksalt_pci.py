"""The PCI devices of a machine: by lspci with names, else from ``/sys/bus/pci`` with numbers."""

import pathlib
import shlex

_FIELDS = ("address", "class", "vendor", "device")


def devices(root="/"):
    """
    Return ``[{"address", "class", "vendor", "device"}]``; without lspci, class, vendor and device are
    the numbers of the PCI ID registry (``0x8086``).

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_pci.devices
    """
    told = __salt__["racksalt_probe.run"](["lspci", "-D", "-mm"])
    if told["code"] == 0:
        return listed(told["out"])
    folders = sorted(pathlib.Path(root, "sys/bus/pci/devices").glob("*"))
    return [_numbered(folder) for folder in folders]


def listed(told):
    """
    Return the devices that ``lspci -D -mm`` lists.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_pci.listed "$(lspci -D -mm)"
    """
    found = []
    for line in told.splitlines():
        try:
            words = [word[:128] for word in shlex.split(line)]
        except ValueError:
            continue
        if len(words) >= len(_FIELDS):
            found.append(dict(zip(_FIELDS, words, strict=False)))
    return found


def _numbered(folder):
    read = {name: __salt__["racksalt_probe.text"](folder / name) for name in _FIELDS[1:]}
    return {"address": folder.name, **{name: value for name, value in read.items() if value}}
