"""A real PostgreSQL server in a temporary folder, reached over a Unix socket; nothing of it is left afterwards."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = Path("/usr/lib/postgresql")
WANTED = "install PostgreSQL's server (Debian: apt-get install postgresql)"
ACCOUNTS = ("postgres", "nobody")
"""Who runs the server when the tests run as root: it refuses to run as root."""
START_S = 60


class NoPostgresqlError(Exception):
    """There are no server binaries, or nobody may run them."""


def binaries() -> Path:
    """Return the folder of the newest server binaries.

    Raises:
        NoPostgresqlError: none is installed.
    """
    found = [path.parent for path in PACKAGES.glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    if on_path:
        return Path(on_path).resolve().parent
    raise NoPostgresqlError(f"no initdb under {PACKAGES} nor on the PATH: {WANTED}")


class Postgresql:
    """One running server. ``durable=False`` leaves out fsync: quick, for tests that pull no plug."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder, self._bin, self._numbers = folder, binaries(), itertools.count()
        self._data, self._user = folder / "data", _account()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "-A", "trust", "-U", "racksalt", "-E", "UTF8", "--no-sync", "--locale=C"
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "max_connections": "100",
            "shared_buffers": "32MB",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in options.items())
        with (self._data / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write(lines)
        self._start()

    def stop(self) -> None:
        """End the server at once: nothing of it is kept."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(START_S)

    def restart(self) -> None:
        """Crash and start again: every open connection is lost."""
        self.stop()
        self._start()

    def _start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_tie,  # noqa: PLW1509  one system call, made before any thread could matter
                **self._as_user(),
            )
        end = time.monotonic() + START_S
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > end:
                tail = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"PostgreSQL did not start: {tail}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            self._sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def url(self, database: str) -> str:
        """Return the address of a database as the setting ``database`` has it."""
        return f"postgresql+psycopg://racksalt@/{database}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """Make a new database, a copy of ``template``; return its name."""
        name = f"d{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        """Drop a database, with its connections."""
        self._sql(f"DROP DATABASE {database} WITH (FORCE)")

    def empty(self, database: str, tables: str) -> None:
        """Cut a database's connections and empty these tables: cheaper than another database."""
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        self._sql(f"{cut} AND datname = '{database}'")
        self._sql(f"TRUNCATE {tables} RESTART IDENTITY", database)

    def _sql(self, statement: str, database: str = "postgres") -> None:
        import psycopg

        # The names are made here, so nothing needs quoting.
        at = f"host={self.folder} user=racksalt dbname={database}"
        with psycopg.connect(at, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, "-D", self._data, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            check=False,
            timeout=START_S,
            **self._as_user(),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout[-2000:]}")


_LIBC = ctypes.CDLL(None)


def _tie() -> None:
    """Let the kernel end the server when the tests die, however they die (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGQUIT)


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgresqlError(f"none of the accounts {', '.join(ACCOUNTS)} exists to run the server")


@contextmanager
def a_server(*, durable: bool = False):
    """Give a running server; its folder is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="racksalt-pg-"))
    try:
        server = Postgresql(folder, durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
