"""The folder of generated files: written whole or not at all, and only those that differ."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from racksalt.model.errors import DhcpError

NEW = "new"
"""Sub-folder in which files are written before they are renamed into place: nobody watches it."""


class Folder:
    """Generated files below one folder. Paths are relative to it."""

    def __init__(self, root: str | Path, folders: Iterable[str] = ()) -> None:
        self.root = Path(root)
        self._folders = tuple(folders)
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folders and take them for this process alone.

        Raises:
            DhcpError: another service has them, or they cannot be made.
        """
        try:
            for folder in ("", NEW, *self._folders):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                # Whatever the umask is: the server reads them under an account of its own.
                (self.root / folder).chmod(0o755)
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DhcpError(
                f"another DHCP service works on {self.root}", "stop it, or set another dhcp.folder"
            ) from None
        except OSError as error:
            raise DhcpError(
                f"{self.root} cannot be used: {error.strerror}", "run it as root; see dhcp.folder"
            ) from None
        for left in (self.root / NEW).iterdir():
            left.unlink()

    def close(self) -> None:
        """Let others take the folders."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def present(self) -> dict[str, str]:
        """Return all files in the watched folders with their content; the main files are not among them."""
        return {
            f"{folder}/{path.name}": path.read_text(encoding="utf-8", errors="replace")
            for folder in self._folders
            for path in (self.root / folder).iterdir()
            if path.is_file()
        }

    def read(self, name: str) -> str | None:
        """Return a file's content, None if it is not there."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Put a file into place; a reader sees the old or the new one, never a part."""
        fresh = self.root / NEW / name.replace("/", "_")
        try:
            fresh.touch(0o600)
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(mode)
            fresh.rename(self.root / name)
        except OSError as error:
            raise DhcpError(
                f"{self.root / name} cannot be written: {error.strerror}",
                "look at space and rights; it is tried again",
            ) from None

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.root / name).unlink(missing_ok=True)
