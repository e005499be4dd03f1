"""A whole racksalt below one folder: settings, secrets, site, database, on free ports of loopback."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racksalt.adapters.settings_file import write_settings
from racksalt.lab.processes import Child
from racksalt.lab.redfish_tls import lab_certificate
from racksalt.settings import BootApi, ConductorSettings, GraphqlApi, Settings

BMC_USER, BMC_SECRET = "racksalt", "lab"
"""User name and secret name of every BMC in a lab."""
REDFISH_SECRET = "lab-redfish"  # noqa: S105 - a name
"""The same password, with the certificate of the lab's Redfish BMCs pinned."""
START_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where everything of one lab is. ``settings_file`` is what RACKSALT_SETTINGS names."""

    root: Path
    settings: Settings
    settings_file: Path

    @property
    def site(self) -> Path:
        """The site's folder."""
        return Path(self.settings.site)

    @property
    def bmc_secrets(self) -> Path:
        """The file with the BMC passwords."""
        return Path(self.settings.secrets) / "bmc.yaml"

    @property
    def logs(self) -> Path:
        """The folder for what the processes print."""
        return self.root / "logs"

    @property
    def lab(self) -> Path:
        """The folder of the machines."""
        return self.root / "n"

    def environment(self) -> dict[str, str]:
        """Return the environment in which commands of this installation run."""
        return {"RACKSALT_SETTINGS": str(self.settings_file), "PYTHONUNBUFFERED": "1"}


def lay_out(
    root: Path,
    *,
    ports: Sequence[int],
    conductor: Mapping[str, Any] | None = None,
    boot_api: Mapping[str, Any] | None = None,
    simulated: str = "",
    database: str = "",
) -> Installation:
    """Make folders, secrets and settings below ``root``; the site's folder is left to the caller.

    ``ports`` are those of the boot API and of GraphQL; ``conductor`` and ``boot_api`` are further settings of these.
    """
    os.umask(0o077)
    for name in ("logs", "secrets", "site", "n"):
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    boot_port, graphql_port = ports
    url = f"http://127.0.0.1:{boot_port}"
    settings = Settings(
        database=database or f"sqlite:///{root / 'racksalt.db'}",
        secrets=str(root / "secrets"),
        site=str(root / "site"),
        simulated=simulated,
        boot_api=BootApi(
            host="127.0.0.1", port=boot_port, url=url, images=f"{url}/images", **(boot_api or {})
        ),
        graphql=GraphqlApi(host="127.0.0.1", port=graphql_port),
        conductor=ConductorSettings(**(conductor or {})),
    )
    file = root / "racksalt.yaml"
    write_settings(file, settings)
    installation = Installation(root=root, settings=settings, settings_file=file)
    if not installation.bmc_secrets.exists():
        installation.bmc_secrets.touch(mode=0o600)
        password = secrets.token_urlsafe(12)  # IPMI 2.0 passwords have at most 20 bytes
        pin = lab_certificate(installation.lab).sha256
        entries = {
            BMC_SECRET: password,
            REDFISH_SECRET: {"password": password, "certificate_sha256": pin},
        }
        installation.bmc_secrets.write_text(json.dumps(entries), encoding="utf-8")
    return installation


def light_nodes(names: Sequence[str], racks: int, port: int) -> dict[str, Any]:
    """Return the declarations of light nodes whose simulated BMCs are at ``port``, as the files of a site."""
    return _site({name: ("light", _bmc("simulated", port)) for name in names}, racks)


def salt_nodes(ports: Mapping[str, int], racks: int) -> dict[str, Any]:
    """Return the declarations of nodes with a real minion and an IPMI BMC each (id -> port), as a site's files."""
    return _site({name: ("salt", _bmc("ipmi", port)) for name, port in ports.items()}, racks)


def _site(nodes: Mapping[str, tuple[str, dict[str, Any]]], racks: int) -> dict[str, Any]:
    declared = {
        name: {"rack": f"r{at % racks + 1}", "agent": agent, "serial": f"RF{at:07d}", "bmc": bmc}
        for at, (name, (agent, bmc)) in enumerate(nodes.items())
    }
    return {**topology(racks), "site/nodes.yaml": {"nodes": declared}, **quick_stages()}


def _bmc(protocol: str, port: int) -> dict[str, Any]:
    secret = f"file:{REDFISH_SECRET if protocol == 'redfish' else BMC_SECRET}"
    who = {"username": BMC_USER, "secret": secret}
    return {"protocol": protocol, "address": "127.0.0.1", "port": port, **who}


def quick_stages() -> dict[str, Any]:
    """Return the layer that makes load tests short: a virtual machine has nothing to burn in."""
    burn_in = {"cpu_s": 0.1, "memory_mib": 1, "disk_mib": 1}
    return {"global/lab.sls": {"racksalt": {"stages": {"burn_in": burn_in}}}}


def topology(racks: int) -> dict[str, Any]:
    """Return the declarations of two zones with ``racks`` racks in turn, and of no policy."""
    return {
        "site/topology.yaml": {
            "zones": ["z1", "z2"],
            "racks": {f"r{n + 1}": {"zone": f"z{n % 2 + 1}", "height_u": 48} for n in range(racks)},
        },
        "site/policy.yaml": {"policy": {"approve": "manifest", "goal": "ready"}},
    }


def start_server(installation: Installation, *extra: str) -> Child:
    """Start ``racksalt serve``; the caller waits for it with `Child.wait_until`."""
    program = [sys.executable, "-m", "racksalt", "serve", *extra]
    environment = installation.environment()
    return Child(
        "racksalt serve", program, installation.logs / "serve.log", environment=environment
    )


def start_lab(installation: Installation, *extra: str) -> Child:
    """Start the machines; return when all of them are there."""
    program = [
        *(sys.executable, "-m", "racksalt.lab", "--follow-input"),
        *("--site", str(installation.site), "--secrets", str(installation.bmc_secrets)),
        *("--boot-url", installation.settings.boot_api.url),
        *("--folder", str(installation.lab), *extra),
    ]
    child = Child("lab", program, installation.logs / "lab.log", input_pipe=True)
    try:
        child.hear(START_S)
    except BaseException:
        child.stop()
        raise
    return child
