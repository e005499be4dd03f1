"""
The hardware of a virtual machine: its minion's configuration names a JSON file that describes it
(``racksalt: {hardware_file: /path}``). Real machines have ``racksalt_hardware.py`` by the same name.

The file has the shape of an inventory; ``bios_settings``, ``raid``, ``secure_boot`` and
``bmc_default_password`` in it say how the machine is set up.
"""

import json
import pathlib

__virtualname__ = "racksalt_hardware"

_SAFETY = ("secure_boot", "bmc_default_password", "foreign_disks")


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return __virtualname__
    return False, "this is a real machine"


def inventory(lldp_s=0):  # noqa: ARG001 - the real one takes it
    """
    Return what the file says of the hardware.

    lldp_s
        nothing: a description has no cables to listen to

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.inventory
    """
    return {key: value for key, value in _described().items() if not key.startswith("_")}


def virtual():
    """
    Say that this machine is virtual.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.virtual
    """
    return True


def bios_settings():
    """
    Return ``{setting: value}`` of the described BIOS.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.bios_settings
    """
    return dict(_described().get("bios_settings") or {})


def bios_set(settings):
    """
    Return the settings that could be written: none, for a description is not changed by its machine.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.bios_set '{"VirtTechnology": "Enabled"}'
    """
    return {name: value for name, value in bios_settings().items() if settings.get(name) == value}


def raid():
    """
    Return the described RAID arrays: ``[{"name", "level", "devices"}]``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.raid
    """
    return list(_described().get("raid") or [])


def security():
    """
    Return what is known of the machine's safety: ``{"secure_boot", "bmc_default_password",
    "foreign_disks"}``, each None for unknown.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.security
    """
    described = _described()
    return {key: described.get(key) for key in _SAFETY}


def _described():
    return json.loads(pathlib.Path(__opts__["racksalt"]["hardware_file"]).read_text())
