"""What RAID arrays a node must have."""

from salt.exceptions import CommandExecutionError


def present(name, arrays=None, overwrite=False, wanted=None):
    """
    These software RAID arrays exist and run. Missing ones are built of blank disks; a disk that holds
    something is refused, unless the plan allows it to be overwritten.

    arrays
        ``[{"name": "data", "level": "raid1", "devices": 2, "match": {"media": "hdd"}}]``; instead of
        ``match``, ``disks`` lists names, serial numbers or WWNs

    overwrite
        whether disks that hold something may be taken

    wanted
        all that the pillar says to the stage ``raid``, instead of both: so a misspelt key is seen

    .. code-block:: yaml

        raid:
          racksalt_raid.present:
            - arrays: [{name: data, level: raid1, devices: 2, disks: [sdb, sdc]}]
    """
    try:
        own = {"arrays": arrays, "overwrite": overwrite}
        settings = __salt__["racksalt_settings.checked"]("raid", own if wanted is None else wanted)
        return _present(name, settings.get("arrays") or [], settings.get("overwrite") or False)
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))


def _present(name, arrays, overwrite):
    steps = __salt__["racksalt_raid.plan"](arrays, overwrite)
    todo = [step for step in steps if step["action"] != "none"]
    refused = [step["why"] for step in todo if step["action"] == "refuse"]
    if refused or not todo:
        return _ret(name, not refused, "; ".join(refused) or f"{len(steps)} arrays are there")
    told = {one["array"]["name"]: f"{one['action']} of {', '.join(one['disks'])}" for one in todo}
    if __opts__["test"]:
        return _ret(name, None, "would change arrays; new ones lose their disks' content", told)
    return _made(name, arrays, told, __salt__["racksalt_raid.carry_out"](steps))


def _made(name, arrays, changes, done):
    """What was built is read back: the plan for the same arrays must have nothing left to do."""
    left = [
        one["why"] or one["array"]["name"]
        for one in __salt__["racksalt_raid.plan"](arrays)
        if one["action"] != "none"
    ]
    comment = f"built, but not there when read back: {', '.join(left)}" if left else ""
    return _ret(name, not left, comment or f"{', '.join(done)}: built and read back", changes)


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
