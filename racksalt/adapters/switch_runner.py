"""Runs shell scripts on Linux switches: over SSH with a pinned host key, on this host, or by the switch's minion.

Scripts carry no secret. A login key is a file that only its owner can read; its content never passes through here.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from racksalt.model.errors import SettingsError, SwitchError
from racksalt.model.switch import Switch

TIMEOUT_S = 60.0
"""How long one script may take."""
CONNECT_S = 10
"""How long SSH waits for a connection."""
KEPT_S = 30
"""How long an SSH connection is kept for the next script."""
_SCHEME = "file:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Runner(Protocol):
    """One way to run scripts on one switch."""

    def run(self, script: str) -> str:
        """Run a POSIX shell script and return what it prints.

        Raises:
            SwitchError: no connection, an exit status other than 0, or no end within ``TIMEOUT_S``.
        """
        ...


def secret_file(folder: Path, secret: str) -> Path:
    """Return the file that ``file:NAME`` names in the folder of the switches' secrets.

    Raises:
        SettingsError: it does not name a file there, or others may read it.
    """
    name = secret.removeprefix(_SCHEME)
    if not secret.startswith(_SCHEME) or not _NAME.fullmatch(name):
        raise SettingsError(f"a switch's secret must begin with {_SCHEME}", f"write {_SCHEME}NAME")
    path = folder / name
    try:
        status = path.stat()
    except OSError as error:
        raise SettingsError(
            f"the switch secret {path}: {error.strerror}", "put the key or the password there"
        ) from None
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path} can be read or written by others", f"chmod 600 {path}")
    return path


def way_to(
    switch: Switch, secrets: Path, minions: Callable[[Switch], Runner] | None = None
) -> Runner:
    """Return the way to a Linux switch that its declaration names.

    Args:
        switch: the switch.
        secrets: the folder of login keys.
        minions: makes the way over a switch's Salt minion; None in a process that has no Salt master.

    Raises:
        SwitchError: the switch is reached by its minion, and there is no Salt master here.
    """
    if switch.via == "local":
        return LocalRunner(switch)
    if switch.via == "ssh":
        return SshRunner(switch, secrets)
    if minions is None:
        raise SwitchError(
            f"{switch.name} is reached by its Salt minion, which this process cannot",
            "use `salt-run racksalt_switch.…` on the Salt master",
        )
    return minions(switch)


class LocalRunner:
    """Runs scripts on this host, in a network namespace if the switch has one."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def run(self, script: str) -> str:
        """Run a script; see Runner."""
        inside = ["ip", "netns", "exec", self._switch.namespace] if self._switch.namespace else []
        return _run(self._switch.name, [*inside, "/bin/sh", "-c", script], os.environ)


class SshRunner:
    """Runs scripts over one SSH connection, which is kept for a while. ``close`` ends it.

    Only the declared host key is taken, no file of the user is read, and nothing is ever asked for.
    """

    def __init__(self, switch: Switch, secrets: Path) -> None:
        self._switch = switch
        self._key = secret_file(secrets, switch.secret or "")
        # Below /tmp by name: a socket's path may have 107 bytes (unix(7)).
        self._folder = tempfile.TemporaryDirectory(prefix="racksalt-ssh-", dir="/tmp")
        self._known = Path(self._folder.name) / "known_hosts"
        self._known.write_text(f"{_bracketed(switch)} {switch.host_key}\n", encoding="ascii")

    def run(self, script: str) -> str:
        """Run a script; see Runner."""
        return _run(self._switch.name, [*self._ssh(), "--", self._host, self._wrapped(script)], {})

    def close(self) -> None:
        """End the connection."""
        subprocess.run(  # noqa: S603 - our own arguments
            [*self._ssh(), "-O", "exit", "--", self._host],
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        self._folder.cleanup()

    @property
    def _host(self) -> str:
        return self._switch.address or ""

    def _wrapped(self, script: str) -> str:
        """Return the command line for the far shell; others than root need sudo, which forgets the environment."""
        inside = ["ip", "netns", "exec", self._switch.namespace] if self._switch.namespace else []
        words = [*inside, "/bin/sh", "-c", script]
        if self._switch.username == "root":
            return shlex.join(words)
        return f'sudo -n env SSH_CONNECTION="$SSH_CONNECTION" {shlex.join(words)}'

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "PreferredAuthentications": "publickey",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._known),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlgorithms": _algorithms(self._switch.host_key or ""),
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(CONNECT_S),
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
            "ControlMaster": "auto",
            "ControlPath": f"{self._folder.name}/c",
            "ControlPersist": str(KEPT_S),
        }
        told = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        port = ["-p", str(self._switch.port)] if self._switch.port else []
        login = ["-l", self._switch.username, "-i", str(self._key)]
        return ["ssh", "-F", "none", "-T", *told, *port, *login]


def _run(switch: str, argv: Sequence[str], environment: Mapping[str, str]) -> str:
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, no shell of this host takes it apart
            list(argv),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env={**kept, **environment},
        )
    except subprocess.TimeoutExpired:
        raise SwitchError(f"{switch}: no end within {TIMEOUT_S:.0f} s", "look at it") from None
    except OSError as error:
        raise SwitchError(f"{switch}: {argv[0]}: {error.strerror}", "install it") from None
    if done.returncode:
        raise SwitchError(f"{switch}: {_last(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout


def _last(text: str) -> str:
    """Return the last lines that a program printed, as one line of bounded length."""
    return "; ".join(line.strip() for line in text.strip().splitlines()[-3:])[-300:]


def _bracketed(switch: Switch) -> str:
    """Return the switch's name in a file of known hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    if switch.port in (None, 22):
        return switch.address or ""
    return f"[{switch.address}]:{switch.port}"


def _algorithms(host_key: str) -> str:
    kind = host_key.partition(" ")[0]
    return "rsa-sha2-512,rsa-sha2-256" if kind == "ssh-rsa" else kind
