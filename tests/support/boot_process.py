"""The boot API as a process of its own, so that a test can kill it: ``python -m … SETTINGS PORT``."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BootProcess:
    """One process over the settings file of ``folder``; its output goes to ``folder/boot.log``."""

    def __init__(self, folder, port=0):
        self.folder, self.port, self.process = folder, port, None

    def start(self, timeout_s=60):
        """Start and wait until it listens; return how long that took, in seconds."""
        began = time.monotonic()
        with (self.folder / "boot.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.boot_process",
                    self.folder / "racksalt.yaml",
                    str(self.port),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        readable, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if readable else b""
        assert line, (self.folder / "boot.log").read_text()
        self.port = int(line)
        return time.monotonic() - began

    @property
    def url(self):
        """Return its base address."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self):
        """End it the hard way."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Ask it to end."""
        self._end(signal.SIGTERM)

    def _end(self, number):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(30)
            self.process.stdout.close()
            self.process = None

    def cpu_s(self):
        """Return the CPU time that the process has used so far, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(settings_file, port):
    """Serve until a signal comes."""
    import uvicorn

    from racksalt.boot_api import create_app
    from racksalt.bootstrap import open_app, settings_from

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    app = open_app(settings_from(settings_file))
    config = uvicorn.Config(create_app(app), access_log=False, backlog=2048)
    listening.listen(config.backlog)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
