"""A virtual machine's Salt loaders without a daemon: its hardware is a JSON file, its disk a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import salt.config
from saltfactories.utils.functional import Loaders

from racksalt.lab.hardware import make_hardware
from racksalt.share import share_dir

TOKEN = "f" * 64


class SaltNode:
    """Loaders of one minion whose modules and states come from this checkout."""

    def __init__(
        self,
        folder: Path,
        *,
        url: str = "http://127.0.0.1:9",
        virtual: bool = True,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.hardware_file, self.disk = folder / "hardware.json", folder / "disk"
        self.disk.mkdir(parents=True)
        opts = salt.config.minion_config(None, minion_id="n1")
        settings = {"node": "n1", "url": url, "token": TOKEN, "environment": "installer"}
        if virtual:
            settings |= {"hardware_file": str(self.hardware_file), "target_root": str(self.disk)}
        else:
            # This computer's own disks are no disks of the machine that a test is about.
            settings["only_devices"] = []
        settings |= more or {}
        opts.update(
            root_dir=str(folder),
            cachedir=str(folder / "cache"),
            pki_dir=str(folder / "pki"),
            sock_dir=str(folder / "sock"),
            conf_file=str(folder / "minion"),
            extension_modules=str(folder / "cache" / "extmods"),
            file_client="local",
            module_dirs=[str(share_dir("salt"))],
            file_roots={"base": [str(share_dir("salt")), str(share_dir("states"))]},
            pillar_roots={"base": [str(folder / "pillar")]},
            enable_fqdns_grains=False,
            keysize=2048,
            test=False,
            racksalt=settings,
        )
        (folder / "cache").mkdir()
        self.loaders = Loaders(opts)
        self.describe()

    @property
    def modules(self) -> Any:
        """Execution modules, by ``modules.racksalt_disk.layout()``."""
        return self.loaders.modules

    @property
    def states(self) -> Any:
        """State functions, run as ``state.single`` runs them; ``test=True`` for test mode."""
        return self.loaders.states

    def describe(self, **changes: Any) -> dict[str, Any]:
        """Give the machine the lab's hardware of its name, with changes."""
        hardware = make_hardware("n1") | changes
        self.hardware_file.write_text(json.dumps(hardware))
        return hardware

    def reboot(self, token: str = TOKEN) -> None:
        """Let the next calls belong to another boot."""
        self.loaders._original_opts["racksalt"]["token"] = token
        self.loaders.reload_all()

    def wipe(self) -> None:
        """Leave nothing on the disk."""
        self.modules.racksalt_disk.erase()
