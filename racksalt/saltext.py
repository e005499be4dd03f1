"""The door through which an installed racksalt shows its loader folders to Salt.

Salt calls the ``salt.loader`` entry point of every installed package and adds the folders that it returns. Minions on
other machines get the same files by sync from ``file_roots``.
"""

from __future__ import annotations

from racksalt.share import share_dir


def loader_dirs() -> dict[str, list[str]]:
    """Return ``{loader type: [folder]}`` for every ``salt/_<type>`` folder that is there."""
    folders = sorted(share_dir("salt").glob("_*"))
    return {
        folder.name.removeprefix("_"): [str(folder)]
        for folder in folders
        if folder.is_dir() and folder.name != "__pycache__"
    }
