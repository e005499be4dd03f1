"""What Salt's loader asks of the installed packages, asked once for each process of the lab.

Salt reads the metadata of every installed package again whenever half a second has passed
(``salt.utils.entrypoints``): in an environment for development, a fifth of what minions and their master compute.
In the lab no package comes or goes while it runs.
"""

from __future__ import annotations

import functools

from salt.utils import entrypoints


def keep_entry_points() -> None:
    """Let Salt, in this process and in those that it forks, keep what it found."""
    entrypoints.iter_entry_points = functools.cache(entrypoints.iter_entry_points)
    entrypoints.iter_entry_points("salt.loader")
