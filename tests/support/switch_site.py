"""A site with one Linux switch (a guest of ``switch_guest``), and the ways to ask about it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from racksalt.adapters.settings_file import read_settings
from racksalt.adapters.site_files import write_site
from racksalt.bootstrap import open_app
from racksalt.conductor.switching import SwitchOperations
from tests.support.switch_guest import SwitchGuest

NETWORKS = {
    "prov": {"purpose": "provisioning", "zone": "z1", "vlan": 110, "cidr_v4": "10.110.0.0/24"},
    "storage": {"purpose": "storage", "zone": "z1", "vlan": 120, "cidr_v4": "10.120.0.0/24"},
}
PORTS = {
    "swp1": {"position_u": 1},
    "swp2": {"position_u": 2},
    "swp3": {"networks": ["storage"], "lldp_med": False},
    "swp4": {"networks": ["prov", "storage"], "edge": False, "description": "uplink"},
}


class SwitchSite:
    """A folder with settings, secrets, a site and a database of its own."""

    def __init__(self, folder: Path, guest: SwitchGuest) -> None:
        self.folder, self.guest = folder, guest
        self.settings = folder / "racksalt.yaml"
        keys = folder / "secrets" / "switches"
        keys.mkdir(parents=True, mode=0o700)
        shutil.copy(guest.key, keys / "tor")
        (keys / "tor").chmod(0o600)
        self.declare()
        told = {
            "database": f"sqlite:///{folder}/racksalt.db",
            "secrets": str(folder / "secrets"),
            "site": str(folder / "pillar"),
        }
        self.settings.write_text(json.dumps(told))

    def declare(self, ports: dict[str, Any] | None = None, **more: Any) -> None:
        """Write the site; ``more`` are further fields of the switch."""
        switch = {
            "rack": "r1",
            "address": "127.0.0.1",
            "port": self.guest.port,
            "username": "root",
            "secret": "file:tor",
            "host_key": self.guest.host_key,
            "management_ports": ["eth0"],
            "ports": PORTS if ports is None else ports,
            **more,
        }
        site = {
            "zones": ["z1"],
            "racks": {"r1": {"zone": "z1"}},
            "networks": NETWORKS,
            "nodes": {"n1": {"rack": "r1", "position_u": 1}},
            "switches": {"tor": {k: v for k, v in switch.items() if v is not None}},
        }
        write_site(self.folder / "pillar", {"site/site.yaml": site})

    def command(self, *argv: str) -> list[str]:
        """Return the command line of ``racksalt switch …``."""
        program = Path(sys.executable).with_name("racksalt")
        return [str(program), "--settings", str(self.settings), "switch", *argv]

    @contextlib.contextmanager
    def operations(self) -> Iterator[SwitchOperations]:
        """Give what the command line, runners and tests ask; the connection is ended afterwards."""
        app = open_app(read_settings(self.settings))
        try:
            yield app.switches
        finally:
            app.close()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run ``racksalt switch …``."""
        return subprocess.run(
            self.command(*argv), capture_output=True, text=True, check=False, timeout=120
        )
