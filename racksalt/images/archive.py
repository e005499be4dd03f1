"""A cpio archive as Linux unpacks it at its start; written here, so that it is the same at every build.

Format "newc": Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


@dataclass(slots=True)
class Archive:
    """Entries by path; folders above an entry come by themselves."""

    epoch: int
    _entries: dict[str, tuple[int, bytes, tuple[int, int]]] = field(default_factory=dict)

    def folder(self, path: str) -> None:
        """Add a folder and those above it."""
        parts = path.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            self._entries.setdefault("/".join(parts[:count]), (stat.S_IFDIR | 0o755, b"", (0, 0)))

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._put(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._put(path, stat.S_IFCHR | 0o600, b"", (major, minor))

    def _put(self, path: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> None:
        path = path.strip("/")
        if "/" in path:
            self.folder(path.rsplit("/", 1)[0])
        self._entries[path] = (mode, content, device)

    def pack(self) -> bytes:
        """Return the archive, entries in the order of their names."""
        out = bytearray()
        for number, (path, entry) in enumerate(sorted(self._entries.items()), start=1):
            out += self._record(number, path, *entry)
        out += self._record(0, _TRAILER, 0, b"", (0, 0))
        return bytes(out) + bytes(-len(out) % 512)

    def _record(
        self, number: int, path: str, mode: int, content: bytes, device: tuple[int, int]
    ) -> bytes:
        name = path.encode() + b"\0"
        at = self.epoch if number else 0
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (number, mode, 0, 0, links, at, len(content), 0, 0, *device, len(name), 0)
        head = _MAGIC.encode() + b"".join(b"%08X" % value for value in fields) + name
        head += bytes(-len(head) % 4)
        return head + content + bytes(-len(content) % 4)
