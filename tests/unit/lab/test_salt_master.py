"""The lab's master: the settings that racksalt ships, in a folder of its own, gone with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import salt.config

from racksalt.lab.salt_master import LONGEST_ROOT, LabMaster, shipped_config
from racksalt.model.errors import AgentUnreachableError
from racksalt.share import share_dir
from tests.support.waiting import wait_for


def test_it_runs_with_what_is_shipped(tmp_path):
    """Every shipped setting holds; only paths and sizes are the lab's own."""
    master = LabMaster(tmp_path / "m", tmp_path / "racksalt.yaml")
    master.prepare()
    opts = master.opts
    shipped = shipped_config()
    for key in ("auto_accept", "auth_events_autosign_grains", "publish_drain_timeout", "reactor"):
        assert opts[key] == shipped[key]
    assert opts["module_dirs"] == [str(share_dir("salt"))]
    assert opts["racksalt"] == {"settings": str(tmp_path / "racksalt.yaml")}


def test_the_shipped_settings_accept_no_key_by_themselves():
    """Whatever else a site changes: nothing but racksalt lets minions in."""
    shipped = shipped_config()
    assert shipped["auto_accept"] is False
    assert shipped["open_mode"] is False
    assert "autosign_file" not in shipped
    assert "autosign_grains_dir" not in shipped


def test_salt_knows_every_shipped_setting():
    """A misspelt setting would do nothing, silently."""
    known = set(salt.config.VALID_OPTS) | set(salt.config.DEFAULT_MASTER_OPTS) | {"racksalt"}
    package = Path(salt.config.__file__).parent.parent
    undocumented = {
        "presence_events": ("master.py", '"presence_events"'),
        "runnerclient_returns": ("client/mixins.py", '{class_name}_returns"'),
    }
    for name in set(shipped_config()) - known:
        file, text = undocumented[name]
        assert text in (package / file).read_text()


def test_its_keys_stay_and_are_private(tmp_path):
    """The fingerprint that minions pin survives a restart; the private key is for its owner."""
    master = LabMaster(tmp_path / "m")
    master.prepare()
    before = master.finger
    again = LabMaster(tmp_path / "m")
    again.prepare()
    assert again.finger == before
    assert (tmp_path / "m/pki/master.pem").stat().st_mode & 0o077 == 0
    assert (tmp_path / "m").stat().st_mode & 0o077 == 0 or (
        tmp_path / "m/pki"
    ).stat().st_mode & 0o077 == 0


def test_overrides_change_and_remove(tmp_path):
    """A test can turn off the reactor, or turn anything up."""
    master = LabMaster(tmp_path / "m", overrides={"reactor": None, "worker_threads": 5})
    master.prepare()
    assert master.opts["reactor"] == []
    assert master.opts["worker_threads"] == 5


def test_sockets_fit_below_any_root(tmp_path):
    """Names of sockets have 107 bytes; a long root keeps them elsewhere."""
    short, long = LabMaster(tmp_path / "m"), LabMaster(tmp_path / ("m" * LONGEST_ROOT))
    for master in (short, long):
        master.prepare()
        assert len(master.opts["sock_dir"]) <= LONGEST_ROOT + len("/sock")
        master.stop()


def test_waiting_for_a_master_that_does_not_run_ends_with_its_log(tmp_path):
    """Nobody waits a minute and a half for what is dead."""
    master = LabMaster(tmp_path / "m")
    master.prepare()
    master.log.write_text("the port is taken")
    with pytest.raises(AgentUnreachableError, match="the port is taken"):
        master.wait_ready(5)


@pytest.mark.daemons
def test_it_answers_and_dies_with_its_owner_however_that_dies(short_root):
    """The owner is killed without a word; no process of the master is left."""
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from racksalt.lab.salt_master import LabMaster
        master = LabMaster(Path(sys.argv[1]))
        master.start()
        master.wait_ready(60)
        print(master.pid, flush=True)
        time.sleep(600)
        """
    )
    command = [sys.executable, "-c", script, str(short_root / "m")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        group = int(owner.stdout.readline())
        assert len(members(group)) > 5
        owner.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not members(group), 15) is not None, members(group)


def members(group):
    """Return the living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


@pytest.fixture
def short_root(tmp_path_factory):
    """A folder with a short path."""
    root = Path(f"/tmp/rm-{os.getpid()}")
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=True)
