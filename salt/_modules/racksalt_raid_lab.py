"""
RAID of a virtual machine: what its description says, and nothing can be built of it. Real machines
have ``racksalt_raid.py`` by the same name.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "racksalt_raid"


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return __virtualname__
    return False, "this is a real machine"


def arrays():
    """
    Return the described arrays: ``[{"name", "level", "devices"}]``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.arrays
    """
    return __salt__["racksalt_hardware.raid"]()


def plan(wanted, overwrite=False):  # noqa: ARG001 - the real one takes it
    """
    Return ``[{"array", "action", "disks", "why"}]``: arrays of the description are there, others are
    refused.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.plan '[{name: md0, level: raid1, devices: 2}]'
    """
    shapes = [(one["name"], one["level"], one["devices"]) for one in arrays()]
    return [
        {"array": array, "action": "none", "disks": [], "why": ""}
        if (array["name"], array["level"], array["devices"]) in shapes
        else {"array": array, "action": "refuse", "disks": [], "why": _why(array)}
        for array in wanted
    ]


def carry_out(steps):
    """
    Refuse: a description has no disks to build arrays of.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.carry_out '[]'
    """
    raise CommandExecutionError(f"a virtual machine cannot build {len(steps)} arrays")


def _why(array):
    shape = f"{array['name']} ({array['level']} of {array['devices']})"
    return f"{shape} is missing, and a virtual machine of the lab cannot build it"
