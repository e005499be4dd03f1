"""Looking for secrets in what a rack left behind."""

from __future__ import annotations

import json
from pathlib import Path

from racksalt.boot.tokens import derive

ENVIRONMENTS = ("live", "installer", "local")
OWN = ("ram*", "disk", "local")
"""What a machine's own memory and disk are, below its folder: its own token belongs there."""


def secrets_of(rack, app):
    """Return the BMCs' password and every boot token that a machine of this rack was given, by what each is."""
    told = json.loads(rack.installation.bmc_secrets.read_text(encoding="utf-8"))
    found = {f"password {name}": one for name, one in told.items() if isinstance(one, str)}
    for node in app.operations.list_nodes():
        for boot in range(1, app.store.node(node["id"]).boot + 1):
            for environment in ENVIRONMENTS:
                token = derive(app.secrets.boot, node["id"], boot, environment)
                found[f"token {node['id']} {boot} {environment}"] = token
    return found


def leaks(rack, wanted):
    """Return (file, secret) for each secret in a file of the rack: logs, databases, caches, settings of the master.

    The files that hold the site's secrets are left out, and so are the machines' own memories and disks.
    """
    lab, kept = rack.installation.lab, rack.installation.bmc_secrets.parent
    own = {path for machine in lab.iterdir() for name in OWN for path in machine.glob(name)}
    found = []
    for path in rack.root.rglob("*"):
        if path.is_file() and not ({kept, *own} & set(path.parents)):
            content = _content(path)
            found += [
                (str(path), name) for name, secret in wanted.items() if secret.encode() in content
            ]
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a cache that somebody tidied up meanwhile
        return b""
