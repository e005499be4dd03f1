"""``salt-run`` as an operator types it, on the master of a rack."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def salt_run(rack, verb, *words, timeout_s=150):
    """Return what ``salt-run racksalt.VERB …`` answers; fail with what it says when it ends with an error."""
    ran = run(rack, verb, *words, timeout_s=timeout_s)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def run(rack, verb, *words, timeout_s=150):
    """Return how ``salt-run racksalt.VERB …`` ended."""
    program = "from salt.scripts import salt_run; salt_run()"
    conf = str(rack.master.config_file.parent)
    return subprocess.run(
        [sys.executable, "-c", program, "-c", conf, "--out=json", f"racksalt.{verb}", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, **rack.installation.environment()},
    )
