"""
What the system disk of a node must hold: partitions, an operating system, a minion that can prove
itself, or nothing at all.

How that is done is ``racksalt_disk``'s business: real disks, or the folder of a virtual machine.
"""

from salt.exceptions import CommandExecutionError


def partitioned(name, settings=None):
    """
    The system disks were partitioned like this in this very installation. Everything on them is lost
    otherwise; test mode names them with their serial numbers.

    settings
        ``{"disks": {"count": 1, "match": {…}}, "raid": "none", "root_gb": 40}``

    .. code-block:: yaml

        partition:
          racksalt_disk.partitioned:
            - settings: {disks: {count: 2}, raid: raid1}
    """
    return _apply(name, "partition", settings)


def imaged(name, settings=None):
    """
    The root filesystem is this image's, signature and checksums checked, read back and grown.

    settings
        ``{"source": "os/debian-12/2026.11"}``

    .. code-block:: yaml

        image:
          racksalt_disk.imaged:
            - settings: {source: os/debian-12/2026.11}
    """
    return _apply(name, "image", settings)


def configured(name):
    """
    The installed system boots, has its name, network, users and clock, and its own minion: new key
    pair, proof for its first boot, configuration. What it reads from the pillar may hold secrets, so
    no setting is passed through the state.

    .. code-block:: yaml

        configure:
          racksalt_disk.configured: []
    """
    return _apply(name, "configure")


def erased(name, settings=None, stage="erase"):
    """
    Nothing is left on the disks of the plan, read back; the result carries what a certificate says.

    settings
        ``{"disks": "all"}``, ``"system"`` or a list of serial numbers

    stage
        whose settings they are, for errors: ``erase`` or ``wipe``

    .. code-block:: yaml

        erase:
          racksalt_disk.erased:
            - settings: {disks: all}
    """
    return _apply(name, "erase", settings, stage)


def _apply(name, stage, settings=None, whose=None):
    try:
        settings = __salt__["racksalt_settings.checked"](whose or stage, settings)
        plan = __salt__["racksalt_disk.plan"](stage, settings)
        if plan["done"]:
            return _ret(name, True, {**plan, "changes": {}})
        if __opts__["test"]:
            return _ret(name, None, plan)
        return _ret(name, True, __salt__["racksalt_disk.carry_out"](stage, settings))
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, {"comment": str(error)})


def _ret(name, result, told):
    ret = {"name": name, "result": result, "comment": told["comment"]}
    ret["changes"] = told.get("changes") or {}
    return {**ret, "data": told["data"]} if told.get("data") else ret
