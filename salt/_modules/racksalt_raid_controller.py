"""
Hardware RAID controllers: which program drives which, its command lines, and what it prints.

A table of drivers, so that another maker is another row. **Not tried on hardware**: command lines
follow the makers' manuals, and the readers were tested on output that we wrote after them.
"""

import json
import re

_TABLE = {
    "storcli": {
        "program": "storcli64",
        "vendors": ("Broadcom", "LSI", "Symbios", "Avago"),
        "family": "storcli",
    },
    "perccli": {"program": "perccli64", "vendors": ("Dell",), "family": "storcli"},
    "ssacli": {"program": "ssacli", "vendors": ("Hewlett", "HPE", "Adaptec"), "family": "ssacli"},
}
_CLASS = re.compile(r"raid|serial attached scsi", re.IGNORECASE)
_GB = {"MB": 0.001, "GB": 1, "TB": 1000}
_SIZE = re.compile(r"([0-9.]+) ?(MB|GB|TB)")
_HP_CONTROLLER = re.compile(r"^(.*) in Slot (\d+)")
_HP_ARRAY = re.compile(r"logicaldrive (\S+) \(([^,]+), RAID ([0-9+]+), ([^)]+)\)")
_HP_DISK = re.compile(r"physicaldrive (\S+) \(port [^,]*, ([^,]+), ([0-9.]+ [MGT]B), ([^,)]+)")


def drivers():
    """
    Return the table: ``{driver: {"program", "vendors", "family"}}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.drivers
    """
    return _TABLE


def controllers():
    """
    Return this machine's controllers and the driver that fits each: ``[{"address", "device", "driver",
    "installed"}]``; ``driver`` is None for a maker that the table does not have.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.controllers
    """
    found = []
    for device in __salt__["racksalt_pci.devices"]():
        if _CLASS.search(device.get("class", "")):
            driver = driver_of(f"{device.get('vendor')} {device.get('device')}")
            installed = bool(driver) and not _ask([_TABLE[driver]["program"], "-h"])["problem"]
            entry = {"address": device["address"], "device": device.get("device")}
            found.append({**entry, "driver": driver, "installed": installed})
    return found


def driver_of(maker):
    """
    Return the driver for a controller by the words that lspci has for it; a Dell PERC is perccli's,
    whoever made its chip.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.driver_of 'Broadcom / LSI MegaRAID SAS-3 3108'
    """
    told = maker.lower()
    if "perc" in told.split():
        return "perccli"
    fits = (
        name for name, row in _TABLE.items() if any(it.lower() in told for it in row["vendors"])
    )
    return next(fits, None)


def read(driver):
    """
    Return what a controller's program lists: ``{"controllers", "disks", "arrays"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.read storcli
    """
    return parse(driver, _ask(command(driver, "list"))["out"])


def command(driver, action, controller="0", level="raid1", disks=(), name="data"):
    """
    Return the command line for an action (``list``, ``create``, ``delete``, ``jbod``), as a list of
    words; nothing is run.

    controller, level, disks, name
        the controller's number, ``raid0`` to ``raid60``, slots as ``read`` names them, the array

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.command storcli create disks='["252:0", "252:1"]'
    """
    _check(controller, level, disks, name)
    words = {
        "n": controller,
        "level": level,
        "digits": level[4:],
        "name": name,
        "disks": ",".join(disks),
    }
    enclosure, _, slot = (disks[0] if disks else "").partition(":")
    words.update(enclosure=enclosure, slot=slot)
    row = _TABLE[driver]
    return [row["program"], *(word.format(**words) for word in _WORDS[row["family"]][action])]


def parse(driver, text):
    """
    Return what a program printed for ``list``: ``{"controllers": [{"id", "model", "firmware"}],
    "disks": [{"slot", "size_gb", "media", "state"}], "arrays": [{"name", "level", "state",
    "size_gb"}]}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid_controller.parse storcli "$(storcli64 /call show all J)"
    """
    return _READERS[_TABLE[driver]["family"]](text)


_WORDS = {
    "storcli": {
        "list": ("/call", "show", "all", "J"),
        "create": ("/c{n}", "add", "vd", "type={level}", "name={name}", "drives={disks}"),
        "delete": ("/c{n}/v{name}", "delete", "force"),
        "jbod": ("/c{n}/e{enclosure}/s{slot}", "set", "jbod"),
    },
    "ssacli": {
        "list": ("ctrl", "all", "show", "config", "detail"),
        "create": (
            "ctrl",
            "slot={n}",
            "create",
            "type=ld",
            "drives={disks}",
            "raid={digits}",
            "forced",
        ),
        "delete": ("ctrl", "slot={n}", "ld", "{name}", "delete", "forced"),
        "jbod": ("ctrl", "slot={n}", "modify", "hbamode=on", "forced"),
    },
}


def _check(controller, level, disks, name):
    """What goes into a command line must not be able to become another option."""
    if not re.fullmatch(r"raid(0|1|5|6|10|50|60)", level) or not str(controller).isdigit():
        raise ValueError(f"no level {level!r} or no controller {controller!r}")
    wrong = [
        it for it in (*disks, name) if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:_.]*", str(it))
    ]
    if wrong:
        raise ValueError(f"no disk or array is called {wrong[0]!r}")


def _ask(argv):
    return __salt__["racksalt_probe.run"](argv, 60)


def _storcli(text):
    try:
        parts = [one.get("Response Data", {}) for one in json.loads(text)["Controllers"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        parts = []
    rows = [(number, part) for number, part in enumerate(parts) if isinstance(part, dict)]
    return {
        "controllers": [_storcli_controller(number, part) for number, part in rows],
        "disks": [_storcli_disk(it) for _, part in rows for it in part.get("PD LIST", ())],
        "arrays": [_storcli_array(it) for _, part in rows for it in part.get("VD LIST", ())],
    }


def _storcli_controller(number, part):
    basics, version = part.get("Basics", {}), part.get("Version", {})
    known = {"id": str(basics.get("Controller", number)), "model": basics.get("Model")}
    return {**known, "firmware": version.get("Firmware Version")}


def _storcli_disk(row):
    media = {"SSD": "ssd", "HDD": "hdd"}.get(row.get("Med"), "unknown")
    known = {"slot": str(row.get("EID:Slt")), "size_gb": _gb(row.get("Size")), "media": media}
    return {**known, "state": row.get("State")}


def _storcli_array(row):
    known = {"name": row.get("Name"), "level": str(row.get("TYPE", "")).lower()}
    return {**known, "state": row.get("State"), "size_gb": _gb(row.get("Size"))}


def _ssacli(text):
    found = {"controllers": [], "disks": [], "arrays": []}
    for line in (raw.strip() for raw in text.splitlines()):
        controller, array, disk = (it.search(line) for it in (_HP_CONTROLLER, _HP_ARRAY, _HP_DISK))
        if controller:
            found["controllers"].append(
                {"id": controller[2], "model": controller[1], "firmware": None}
            )
        elif line.startswith("Firmware Version:") and found["controllers"]:
            found["controllers"][-1]["firmware"] = line.partition(":")[2].strip()
        elif array:
            found["arrays"].append(_ssacli_array(array))
        elif disk:
            found["disks"].append(_ssacli_disk(disk))
    return found


def _ssacli_array(array):
    level = f"raid{array[3].replace('1+0', '10')}"
    return {"name": array[1], "level": level, "state": array[4], "size_gb": _gb(array[2])}


def _ssacli_disk(disk):
    media = "ssd" if "SSD" in disk[2] or "Solid" in disk[2] else "hdd"
    return {"slot": disk[1], "size_gb": _gb(disk[3]), "media": media, "state": disk[4].strip()}


def _gb(text):
    found = _SIZE.search(str(text or ""))
    return round(float(found[1]) * _GB[found[2]]) if found else None


_READERS = {"storcli": _storcli, "ssacli": _ssacli}
