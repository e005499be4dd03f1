"""How many files and connections a process may have open."""

from __future__ import annotations

import resource


def allow_many() -> None:
    """Take all that the system allows this process: a connection for each machine is more than the usual 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
