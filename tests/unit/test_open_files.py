"""How many files a process may have open."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from racksalt.open_files import allow_many
allow_many()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_process_takes_what_it_may_have():
    """Up to the hard limit, which is left alone."""
    command = f"ulimit -Sn 64; ulimit -Hn 200; exec {sys.executable} -c '{PROGRAM}'"
    told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["200", "200"]
