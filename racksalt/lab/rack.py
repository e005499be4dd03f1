"""A virtual rack: a real Salt master with the conductor in it, the APIs, and machines with real minions."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from racksalt.adapters.settings_file import write_settings
from racksalt.adapters.site_files import SiteFolder, copy_site, write_site
from racksalt.bootstrap import App, open_app
from racksalt.lab.installation import (
    Installation,
    lay_out,
    quick_stages,
    salt_nodes,
    start_lab,
    start_server,
)
from racksalt.lab.processes import Child, answers, free_ports
from racksalt.lab.salt_master import LabMaster

PACE = {
    "keys_sweep_s": 1.0,
    "jobs_sweep_s": 1.0,
    "job_lost_s": 4.0,
    "agent_poll_s": 1.0,
    "power_sweep_s": 10.0,
    "start_grace_s": 10.0,
}
"""The conductor's settings for machines that boot in seconds instead of minutes."""
SERVER_START_S = 60.0
SALT_TIMEOUT_S = 150.0


class Rack:
    """Everything below ``root``, which must be a short path. Nothing runs before `start`."""

    def __init__(
        self,
        root: Path,
        *,
        conductor: Mapping[str, Any] | None = None,
        master_overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        settings_file = root / "racksalt.yaml"
        boot, graphql, publish, requests = free_ports(4)
        self.master = LabMaster(
            root / "m",
            settings_file,
            publish_port=publish,
            ret_port=requests,
            overrides=dict(master_overrides or {}),
        )
        self.master.prepare()
        about_master = {
            "master": self.master.address,
            "master_publish_port": self.master.publish_port,
            "master_finger": self.master.finger,
        }
        self.installation: Installation = lay_out(
            root,
            ports=(boot, graphql),
            conductor={**PACE, **(conductor or {})},
            boot_api=about_master,
        )
        write_settings(settings_file, self.installation.settings)
        self.server: Child | None = None
        self.lab: Child | None = None

    def use_site(self, source: Path) -> None:
        """Copy a site's folder and move its BMCs to free ports."""
        nodes = SiteFolder(source).declarations().nodes.values()
        names = [node.id for node in nodes if node.bmc is not None]
        ports = free_ports(len(names), socket.SOCK_DGRAM)
        bmcs = {name: ("127.0.0.1", port) for name, port in zip(names, ports, strict=True)}
        copy_site(source, self.installation.site, bmcs)
        write_site(self.installation.site, quick_stages())

    def use_nodes(self, names: Sequence[str], racks: int = 2) -> None:
        """Declare nodes of these names, in ``racks`` racks, and no policy."""
        ports = free_ports(len(names), socket.SOCK_DGRAM)
        write_site(self.installation.site, salt_nodes(dict(zip(names, ports, strict=True)), racks))

    def start(self, *machines: str) -> None:
        """Start master, APIs and machines at once; return when all answer. ``machines``: options of the lab.

        Raises LabError or AgentUnreachableError with the end of the log of what did not start.
        """
        try:
            self.master.start()
            self.server = start_server(self.installation)
            self.lab = self.start_machines(*machines)
            self.wait_for_server()
            self.master.wait_ready()
        except BaseException:
            self.stop()
            raise

    def start_machines(self, *options: str) -> Child:
        """Start the machines and their BMCs; return when they are there."""
        return start_lab(self.installation, *options)

    def restart_server(self) -> None:
        """Start the APIs anew, after `Child.kill9` of the last."""
        self.server = start_server(self.installation)

    def wait_for_server(self, timeout_s: float = SERVER_START_S) -> None:
        """Return when boot API and GraphQL accept connections."""
        settings = self.installation.settings
        apis = (settings.boot_api, settings.graphql)
        assert self.server is not None
        self.server.wait_until(
            lambda: all(answers(api.host, api.port) for api in apis), "answering", timeout_s
        )

    def stop(self) -> None:
        """Stop everything, whatever state it is in; no harm when nothing runs."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.master.stop)
            for child in (self.lab, self.server):
                if child is not None:
                    stack.callback(child.stop)

    def left_running(self) -> list[int]:
        """Return the ids of processes that work in this rack's folder, as all that it starts does."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "cwd").readlink().is_relative_to(self.root.resolve()):
                        found.append(int(entry.name))
        return found

    def open(self) -> App:
        """Return an app over the same database that takes commands and answers; the caller closes it."""
        return open_app(self.installation.settings)

    def salt(self, target: str, *arguments: str, timeout_s: int = 60) -> dict[str, Any]:
        """Return what ``salt TARGET …`` answers, by minion."""
        command = "from salt.scripts import salt_main; salt_main()"
        options = (
            "-c",
            str(self.master.config_file.parent),
            "--out=json",
            "--static",
            "-t",
            str(timeout_s),
        )
        ran = subprocess.run(
            [sys.executable, "-c", command, *options, target, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SALT_TIMEOUT_S,
            env={**os.environ, **self.installation.environment()},
        )
        try:
            found = json.loads(ran.stdout[ran.stdout.index("{") :])
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def states_of(app: App) -> dict[str, str]:
    """Return the state of each node."""
    return {node["id"]: node["state"] for node in app.operations.list_nodes()}
