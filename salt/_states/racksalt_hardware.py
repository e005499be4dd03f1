"""
What a node's hardware must be like: inventoried, new enough, set up, tested, safe.

Each state compares before it acts and changes nothing in test mode. ``wanted`` is all that the pillar says to
the stage, and stands for the other arguments: so a misspelt key is seen (``racksalt_settings``).
"""

from salt.exceptions import CommandExecutionError
from salt.utils.versions import version_cmp

_WORDS = {True: "safe", False: "NOT SAFE", None: "unknown"}
_KINDS = (("nic", "nics", "driver"), ("disk", "disks", "model"))


def inventoried(name, lldp_s=5, wanted=None):
    """
    Hand the node's hardware back to racksalt.

    lldp_s
        how long to listen for switches at most, in seconds

    .. code-block:: yaml

        inventory:
          racksalt_hardware.inventoried:
            - lldp_s: 32
    """
    own = {"lldp_s": lldp_s} if wanted is None else wanted
    return _checked("inventory", name, own, _inventoried)


def _inventoried(name, settings):
    found = __salt__["racksalt_hardware.inventory"](lldp_s=settings.get("lldp_s", 5))
    disks, nics = len(found.get("disks") or ()), len(found.get("nics") or ())
    unknown = f"; unknown: {', '.join(found['unknown'])}" if found.get("unknown") else ""
    comment = f"{found.get('vendor')} {found.get('product')}: {disks} disks, {nics} NICs{unknown}"
    return {**_ret(name, True, comment), "data": {"inventory": found}}


def firmware_at_least(name, baseline=None, wanted=None):
    """
    No firmware is older than the baseline. Updates are the BMC's: ``racksalt hardware update-firmware``.

    baseline
        ``{component: version}``; components are ``bios``, ``bmc``, ``nic:<name or driver>``,
        ``disk:<name or model>``; a driver or model means all of its kind

    .. code-block:: yaml

        firmware:
          racksalt_hardware.firmware_at_least:
            - baseline: {bios: 1.2.0, "nic:ice": "4.20"}
    """
    own = {"baseline": baseline} if wanted is None else wanted
    return _checked("firmware", name, own, _firmware_at_least)


def _firmware_at_least(name, settings):
    have = _versions(__salt__["racksalt_hardware.inventory"](lldp_s=0))
    baseline = settings.get("baseline") or {}
    old = [
        f"{part} has {version or 'a version that cannot be read'}, wanted {least} or newer"
        for part, least in sorted(baseline.items())
        for version in have.get(part) or [None]
        if not version or version_cmp(str(version), least) < 0
    ]
    return _ret(name, not old, "; ".join(old) or f"{len(baseline)} parts are new enough")


def bios_set(name, settings=None, wanted=None):
    """
    BIOS settings have these values, written through the kernel where it offers them.

    settings
        ``{setting: value}``

    .. code-block:: yaml

        bios:
          racksalt_hardware.bios_set:
            - settings: {VirtTechnology: Enabled}
    """
    own = {"settings": settings} if wanted is None else wanted
    return _checked("bios", name, own, _bios_set)


def _bios_set(name, settings):
    wanted = {key: str(value) for key, value in (settings.get("settings") or {}).items()}
    now = __salt__["racksalt_hardware.bios_settings"]()
    differ = {key: value for key, value in wanted.items() if now.get(key) != value}
    changes = {key: {"old": now.get(key), "new": value} for key, value in differ.items()}
    if not differ:
        return _ret(name, True, f"{len(wanted)} settings are as asked for")
    if __opts__["test"]:
        return _ret(name, None, f"would set {', '.join(sorted(differ))}", changes)
    done = __salt__["racksalt_hardware.bios_set"](differ)
    left = sorted(differ.keys() - done.keys())
    comment = f"cannot be set from here: {', '.join(left)}" if left else "set, for the next boot"
    return _ret(name, not left, comment, {key: changes[key] for key in done})


def burned_in(name, load=None, **more):
    """
    Processor, memory, disks and network hold up under load, and no disk says that it is failing.

    load
        ``cpu_s``, ``memory_mib``, ``memory_s``, ``disk_s``, ``self_test_s``, ``require_self_test``,
        ``network_mib``: how long and how much, as ``racksalt_burn.run`` explains; each may also stand for itself

    .. code-block:: yaml

        burn_in:
          racksalt_hardware.burned_in:
            - load: {cpu_s: 3600, disk_s: 600}
    """
    own = {key: value for key, value in more.items() if not key.startswith("_")}
    asked = {**(load or {}), **own} if isinstance(load or {}, dict) else load
    return _checked("burn_in", name, asked, _burned_in)


def _burned_in(name, load):
    failing = _failing_disks()
    if failing:
        return _ret(name, False, f"failing disks: {', '.join(failing)}")
    if __opts__["test"]:
        asked = ", ".join(f"{key} {value}" for key, value in sorted(load.items()))
        return _ret(name, None, f"would load the machine: {asked or 'as usual'}")
    results = __salt__["racksalt_burn.run"](**load)
    bad = [f"{part}: {_told(result)}" for part, result in results.items() if not result["ok"]]
    comment = "; ".join(bad) or "; ".join(_held_up(results))
    return {**_ret(name, not bad, comment), "data": {"burn_in": results}}


def secure(name, checks=(), allowed=None, wanted=None):
    """
    The node is safe in these respects; findings in others are told.

    checks
        any of ``secure_boot``, ``bmc_password``, ``foreign_disks`` and ``firmware``; what cannot be
        read counts as not safe

    allowed
        ``{component: [version]}``: firmware of any other version is unexpected, and so is one that
        cannot be read, unless it is of a kind (``nic:<driver>``, ``disk:<model>``) that the machine has not

    .. code-block:: yaml

        security:
          racksalt_hardware.secure:
            - checks: [secure_boot, foreign_disks, firmware]
            - allowed: {bios: [1.2.0, 1.3.0]}
    """
    own = {"require": checks, "allowed": allowed} if wanted is None else wanted
    return _checked("security", name, own, _secure)


def _secure(name, settings):
    allowed, checks = settings.get("allowed"), settings.get("require") or ()
    found = __salt__["racksalt_hardware.security"]()
    default, foreign = found.get("bmc_default_password"), found.get("foreign_disks")
    safe = {
        "secure_boot": found.get("secure_boot"),
        "bmc_password": None if default is None else not default,
        "foreign_disks": None if foreign is None else not foreign,
        "firmware": not _unexpected(allowed),
    }
    told = [f"{check}: {_WORDS[safe[check]]}" for check in sorted(safe)]
    told += [f"foreign data: {one}" for one in foreign or ()] + _unexpected(allowed)
    return _ret(name, all(safe.get(check) is True for check in checks), ", ".join(told))


def _checked(stage, name, settings, act):
    """Refuse before anything is done, in test mode, too, what the stage does not know."""
    try:
        return act(name, __salt__["racksalt_settings.checked"](stage, settings))
    except CommandExecutionError as error:
        return _ret(name, False, str(error))


def _unexpected(allowed):
    found = __salt__["racksalt_hardware.inventory"](lldp_s=0) if allowed else {}
    have = _versions(found)
    return [
        f"unexpected firmware: {part} {version or 'has a version that cannot be read'}"
        for part, versions in sorted((allowed or {}).items())
        for version in have.get(part) or ([] if _has_none(part, found) else [None])
        if not version or str(version) not in versions
    ]


def _has_none(part, found):
    """Say whether the machine certainly has no such NIC or disk: it has others, and all of them are known."""
    kind, _, which = part.partition(":")
    parts, mark = {kind: (parts, mark) for kind, parts, mark in _KINDS}.get(kind, ("", ""))
    others = found.get(parts) or []
    known = all(one.get(mark) and which not in (one["name"], one[mark]) for one in others)
    return bool(others) and known


def _versions(found):
    """Return ``{component: [versions]}``, each NIC also by its driver, each disk also by its model."""
    have = {"bios": [found["bios_version"]]} if found.get("bios_version") else {}
    have.update({part: [version] for part, version in (found.get("firmware") or {}).items()})
    for kind, parts, mark in _KINDS:
        for part in found.get(parts) or ():
            if part.get(mark):
                have.setdefault(f"{kind}:{part[mark]}", []).append(part.get("firmware"))
    return have


def _failing_disks():
    disks = __salt__["racksalt_hardware.inventory"]().get("disks") or []
    return [
        f"{disk['name']} (serial {disk.get('serial')})"
        for disk in disks
        if disk.get("health") == "failing"
    ]


def _held_up(results):
    """What did not run, and was let pass, did not hold up: it is told by itself."""
    words = ("not tested", "not measured")
    idle = [
        part for part, result in results.items() if str(result.get("message")).startswith(words)
    ]
    ran = ", ".join(part for part in results if part not in idle)
    return [f"{ran} held up", *(f"{part}: {results[part]['message']}" for part in idle)]


def _told(result):
    return result.get("message") or ", ".join(
        f"{key} {value}" for key, value in result.items() if isinstance(value, int)
    )


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
