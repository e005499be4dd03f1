"""A real salt-master in a folder of its own, without root, with the settings that racksalt ships.

Used by the demo, the lab and the tests. The master dies with the process that started it: its guard
(``python -m racksalt.lab.salt_master``) holds a pipe to that process and kills the group at its end.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import salt.channel.client
import salt.config
import salt.crypt
import salt.utils.crypt
import salt.utils.yaml

from racksalt.lab.salt_patches import keep_entry_points
from racksalt.model.errors import AgentUnreachableError
from racksalt.share import share_dir

HOST = "127.0.0.1"
LONGEST_ROOT = 70
"""Longer, and the names of the sockets below would not fit (107 bytes, Linux unix(7))."""
READY_S = 90.0
_PING_S = 3


def free_port() -> int:
    """Return a TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def shipped_config() -> dict[str, Any]:
    """Return ``conf/master.d/racksalt.conf`` with the paths of this installation."""
    text = (share_dir("conf") / "master.d" / "racksalt.conf").read_text(encoding="utf-8")
    config: dict[str, Any] = salt.utils.yaml.safe_load(text)
    config["module_dirs"] = [str(share_dir("salt"))]
    config["file_roots"] = {"base": [str(share_dir("salt")), str(share_dir("states"))]}
    config["reactor"] = [
        {tag: [str(share_dir("salt") / "reactor" / Path(file).name) for file in files]}
        for reaction in config["reactor"]
        for tag, files in reaction.items()
    ]
    return config


class LabMaster:
    """One master. ``root`` keeps its keys, caches and logs; ports are free ones unless given.

    ``settings_path`` is racksalt's settings file, which the engine reads; ``overrides`` change any
    master option (None removes it).
    """

    def __init__(
        self,
        root: Path,
        settings_path: Path | None = None,
        *,
        publish_port: int | None = None,
        ret_port: int | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.publish_port = publish_port or free_port()
        self.ret_port = ret_port or free_port()
        self.config_file = self.root / "etc" / "master"
        self.log = self.root / "master.log"
        self._settings_path = settings_path
        self._overrides = overrides or {}
        self._sockets: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port`` of the request server."""
        return f"{HOST}:{self.ret_port}"

    @property
    def finger(self) -> str:
        """The SHA-256 fingerprint of the master's public key, which minions pin."""
        public = self.root / "pki" / "master.pub"
        return str(salt.utils.crypt.pem_finger(str(public), sum_type="sha256"))

    @property
    def opts(self) -> dict[str, Any]:
        """The options that the master runs with."""
        opts: dict[str, Any] = salt.config.master_config(str(self.config_file))
        return opts

    @property
    def pid(self) -> int | None:
        """The process group of the running master."""
        return self._process.pid if self._process else None

    def prepare(self) -> None:
        """Write the configuration and, once, the master's key pair."""
        for name in ("etc", "pki", "cache", "sock"):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        public = self.root / "pki" / "master.pub"
        if not public.exists():
            private_text, public_text = salt.crypt.gen_keys(2048)
            _write(self.root / "pki" / "master.pem", private_text, 0o400)
            _write(public, public_text, 0o644)
        _write(self.config_file, salt.utils.yaml.safe_dump(self._config()), 0o600)

    def start(self) -> None:
        """Start the master; returns at once (see ``wait_ready``)."""
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "racksalt.lab.salt_master", str(self.config_file.parent)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return when the master answers a request; AgentUnreachableError with its log's end if not."""
        deadline = time.monotonic() + timeout_s
        opts = self.opts
        while not self._answers(opts):
            gone = self._process is None or self._process.poll() is not None
            if gone or time.monotonic() > deadline:
                why = "ended" if gone else f"did not answer within {timeout_s:.0f} s"
                tail = self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""
                raise AgentUnreachableError(f"the lab's salt-master {why}", f"its log: {tail}")
            time.sleep(0.1)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the master as an init system does, then make sure that all of it is gone."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        self.kill9()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def kill9(self) -> None:
        """Kill the whole process group at once; what it was writing stays as it is."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _answers(self, opts: dict[str, Any]) -> bool:
        """Say whether both ports listen and the request server answers a ping."""
        for port in (self.publish_port, self.ret_port):
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex((HOST, port)):
                    return False
        uri = f"tcp://{self.address}"
        try:
            with salt.channel.client.ReqChannel.factory(
                opts, crypt="clear", master_uri=uri
            ) as channel:
                return bool(channel.send({"cmd": "ping"}, timeout=_PING_S, tries=1))
        except Exception:  # noqa: BLE001 - whatever a half-started master answers, it is not ready
            return False

    def _socket_folder(self) -> Path:
        """Return a folder whose path leaves room for the sockets' names."""
        if len(str(self.root)) <= LONGEST_ROOT:
            return self.root / "sock"
        if self._sockets is None:
            self._sockets = Path(tempfile.mkdtemp(prefix="racksalt-"))
        return self._sockets

    def _config(self) -> dict[str, Any]:
        """Return the shipped settings with what a small master in its own folder needs."""
        config = shipped_config()
        config.update(
            {
                "user": getpass.getuser(),
                "interface": HOST,
                "publish_port": self.publish_port,
                "ret_port": self.ret_port,
                "root_dir": "/",
                "id": "racksalt-master",
                "pki_dir": str(self.root / "pki"),
                "cachedir": str(self.root / "cache"),
                "extension_modules": str(self.root / "cache" / "extmods"),
                "sock_dir": str(self._socket_folder()),
                "token_dir": str(self.root / "cache" / "tokens"),
                "syndic_dir": str(self.root / "cache" / "syndics"),
                "pidfile": str(self.root / "master.pid"),
                "log_file": str(self.root / "master-salt.log"),
                "key_logfile": str(self.root / "key.log"),
                "log_level": "warning",
                "log_level_logfile": "quiet",
                "worker_threads": 3,
                "timeout": 5,
                "gather_job_timeout": 3,
                "rotate_aes_key": False,
                "fileserver_list_cache_time": 20,
                # The reactor loads all runners; this one loads NAPALM, for a second of a processor.
                "disable_runners": ["net"],
            }
        )
        if self._settings_path is None:
            for key in ("racksalt", "engines", "ext_pillar", "reactor"):
                config.pop(key, None)
        else:
            config["racksalt"] = {"settings": str(self._settings_path)}
        config.update(self._overrides)
        return {key: value for key, value in config.items() if value is not None}


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file with its mode from the first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def guard(conf: str) -> None:
    """Run salt-master in this process group until it ends; kill the group when standard input ends."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the group gets it too; wait for the master
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.argv = ["salt-master", "-c", conf]
        import salt.scripts

        keep_entry_points()
        salt.scripts.salt_master()
        os._exit(0)
    _wait(pid, read)


def _wait(pid: int, wake: int) -> None:
    """Leave with the child; take the whole group along when the owner is gone."""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if 0 in readable and not os.read(0, 1024):
            os.killpg(0, signal.SIGKILL)
        if wake in readable:
            os.read(wake, 1024)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    guard(sys.argv[1])
