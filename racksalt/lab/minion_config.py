"""Configurations of the minions in the lab.

A boot environment's minion gets everything from the boot script, as a real live image would make it. The minion of an
installed system has the configuration that the install stages wrote to the disk; the lab only adds where that disk
is (`overlay`), as a real machine's root file system does by being mounted at ``/``.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

from racksalt.boot.tokens import proof
from racksalt.lab.firmware import Environment

CHEAP: dict[str, Any] = {
    # Jobs in threads: a fork and its copied pages cost more than the job, twenty minions share two cores.
    "multiprocessing": False,
    "mine_enabled": False,
    "enable_fqdns_grains": False,
    "enable_gpu_grains": False,
    "log_level": "warning",
    "log_level_logfile": "quiet",
    # A master that comes back is found within seconds.
    "acceptance_wait_time": 1,
    "acceptance_wait_time_max": 3,
    "rejected_retry": True,
    "master_tries": -1,
    "auth_timeout": 5,
    "auth_tries": 3,
    "random_reauth_delay": 1,
    "request_channel_timeout": 5,
    # A minion whose first pillar request is given up stays half alive for ever: it "was scheduled to stop".
    "request_channel_tries": 120,
    "return_retry_timer": 1,
    "return_retry_timer_max": 3,
    "return_retry_tries": 60,
    "recon_default": 200,
    "recon_max": 1000,
    "recon_randomize": True,
    "cache_jobs": True,
    # Same-named places in every root; ``root_dir`` is put before each of them by Salt.
    "pki_dir": "/etc/salt/pki/minion",
    "cachedir": "/var/cache/salt/minion",
    "extension_modules": "/var/cache/salt/minion/extmods",
    "sock_dir": "/run",
    "pidfile": "/run/minion.pid",
    "log_file": "/var/log/minion",
}
LONGEST_SOCKET_PATH = 107
"""Linux unix(7): 108 bytes with the closing zero."""
_SOCKET = "/run/minion_event_0123456789_pull.ipc"


def root_is_short_enough(root: Path) -> bool:
    """Say whether a minion's sockets fit below this root."""
    return len(str(root)) + len(_SOCKET) <= LONGEST_SOCKET_PATH


def make_key_pair() -> tuple[str, str]:
    """Return a new private and public key as Salt keeps them (RSA 2048; PKCS#1 and SubjectPublicKeyInfo PEM)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def write_environment(
    root: Path, environment: Environment, *, hardware_file: Path, target_root: Path
) -> Path:
    """Write keys and configuration of a boot environment's minion below ``root``; return the folder for ``-c``."""
    private, public = make_key_pair()
    keys = root / "etc/salt/pki/minion"
    keys.mkdir(parents=True, mode=0o700)
    _write(keys / "minion.pem", private)
    _write(keys / "minion.pub", public)
    host, _, port = environment.master.rpartition(":")
    config = {
        **CHEAP,
        "root_dir": str(root),
        "user": getpass.getuser(),
        "id": environment.node,
        "master": host.strip("[]"),
        "master_port": int(port),
        "master_finger": environment.master_finger,
        "autosign_grains": ["racksalt_proof"],
        "grains": {"racksalt_proof": proof(environment.token, environment.node, public)},
        "racksalt": {
            "url": environment.url,
            "node": environment.node,
            "token": environment.token,
            "environment": environment.name,
            "hardware_file": str(hardware_file),
            "target_root": str(target_root),
        },
    }
    _write(root / "etc/salt/minion", json.dumps(config, indent=1))
    return root / "etc/salt"


def has_system(disk: Path) -> bool:
    """Say whether an install stage left a minion's configuration on this disk."""
    salt = disk / "etc/salt"
    return (salt / "minion").is_file() or any(salt.glob("minion.d/*.conf"))


def overlay(disk: Path, folder: Path, *, hardware_file: Path) -> Path:
    """Return a folder for ``-c`` that takes the configuration from ``disk`` and says where the disk is.

    Included files are merged in their order (``salt.config.include_config``), so the lab's file is the last one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mounted = {
        **CHEAP,
        "root_dir": str(disk),
        "user": getpass.getuser(),
        "racksalt": {"hardware_file": str(hardware_file), "target_root": str(disk)},
    }
    _write(folder / "lab.conf", json.dumps(mounted, indent=1))
    salt = disk / "etc/salt"
    installed = [str(file) for file in (salt / "minion", *sorted(salt.glob("minion.d/*.conf")))]
    include = {"include": [*installed, str(folder / "lab.conf")]}
    _write(folder / "minion", json.dumps(include, indent=1))
    return folder


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
