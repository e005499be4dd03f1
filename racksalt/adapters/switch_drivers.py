"""All drivers of switches, by the name that a declaration gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from racksalt.adapters.switch_linux import LinuxSwitches
from racksalt.adapters.switch_napalm import NapalmSwitches
from racksalt.adapters.switch_runner import Runner, way_to
from racksalt.conductor.ports import Switches
from racksalt.model.switch import Switch

FOLDER = "switches"
"""The folder of login keys and passwords, below the secrets."""


def switch_drivers(
    secrets: str | Path, salt_opts: Mapping[str, Any] | None = None
) -> dict[str, Switches]:
    """Return the drivers; ``salt_opts`` are the Salt master's options where there is one."""
    folder = Path(secrets) / FOLDER

    def by_minion(switch: Switch) -> Runner:
        from racksalt.adapters.salt_switch import MinionRunner  # noqa: PLC0415 - imports Salt

        return MinionRunner(dict(salt_opts or {}), switch)

    minions = by_minion if salt_opts else None
    return {
        "linux": LinuxSwitches(lambda switch: way_to(switch, folder, minions)),
        "napalm": NapalmSwitches(folder),
    }
