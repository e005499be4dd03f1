"""A Linux switch that runs a Salt minion is reached by it; and what states of such a minion do."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from racksalt.adapters.salt_switch import MinionRunner
from racksalt.lab.rack import Rack
from racksalt.model.errors import SwitchError
from racksalt.model.switch import Switch
from tests.support.salt_daemons import a_minion
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.timeout(240),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def opts():
    """The options of a master with the minion m1."""
    root = Path(tempfile.mkdtemp(prefix="rw-", dir="/tmp"))
    with Rack(root) as rack:
        rack.use_nodes(["m1"])
        rack.master.start()
        rack.master.wait_ready()
        with a_minion(rack, "m1"):
            yield rack.master.opts
    shutil.rmtree(root, ignore_errors=True)


def _runner(opts, minion="m1"):
    return MinionRunner(opts, Switch(name="tor", rack="r1", via="minion", minion=minion))


def test_scripts_run_on_the_switchs_minion(opts):
    """What a script prints comes back whole, and a failure with what was said on standard error."""
    runner = _runner(opts)
    assert wait_for(lambda: _answers(runner), 90, 0) is not None
    assert runner.run("x='a b'\necho \"$x\"\necho '@@racksalt links'\necho []") == (
        "a b\n@@racksalt links\n[]\n"
    )
    with pytest.raises(SwitchError, match="tor: no such port"):
        runner.run("set -e\necho no such port >&2\nfalse\necho not reached")
    with pytest.raises(SwitchError, match="its minion m9 did not answer"):
        _runner(opts, "m9").run("true")


def _answers(runner):
    try:
        return runner.run("echo yes") == "yes\n"
    except SwitchError:
        return False
