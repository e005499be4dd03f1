"""The engine's file: what the master's main process does with it before it forks."""

import subprocess
import sys

import pytest

LOAD = """
import sys
import salt.config, salt.loader

folder, missing = sys.argv[1:]
if missing:
    sys.modules[missing] = None
options = {**salt.config.DEFAULT_MASTER_OPTS, "extension_modules": folder, "cachedir": folder}
engines = salt.loader.engines(options, {}, {}, {})
assert "racksalt.bootstrap" not in sys.modules
print("racksalt.start" in engines, "racksalt.bootstrap" in sys.modules)
if missing:
    engines["racksalt.start"]()
"""


@pytest.mark.parametrize(
    ("missing", "told"),
    [("", "True True"), ("sqlalchemy", "True False")],
    ids=["all-there", "library-missing"],
)
def test_racksalt_is_loaded_once_for_all_processes_of_the_master(tmp_path, missing, told):
    """Salt asks for the engine in its main process; without a library the engine is there, and its start names it."""
    script = [sys.executable, "-c", LOAD, str(tmp_path), missing]
    answer = subprocess.run(script, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == told, answer.stderr
    assert (answer.returncode != 0) == bool(missing)
    assert missing in answer.stderr.strip().rpartition("\n")[2]
