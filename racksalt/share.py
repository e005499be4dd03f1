"""Where the Salt tree, the states, the example pillar and the configuration snippets are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent

Share = Literal["salt", "states", "pillar", "conf", "recipes"]


def share_dir(name: Share) -> Path:
    """Return the folder ``name``: the wheel's own copy, or the checkout's when run from one."""
    packed = _PACKAGE / "_share" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def constraints() -> Path:
    """Return the file with the tested versions of all packages."""
    packed = _PACKAGE / "_share" / "constraints.txt"
    return packed if packed.is_file() else _PACKAGE.parent / "constraints.txt"
