"""Nothing depends on an event that arrives: the bus may lose what it likes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from racksalt.lab.rack import Rack, states_of
from racksalt.share import share_dir
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Salt's request channel leaves sockets to the garbage collector when a master does not answer.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LOSSY = Path(__file__).resolve().parent.parent / "support" / "lossy"
SHARE = 0.3
NAMES = ["l1", "l2", "l3", "l4", "l5", "l6"]


def test_without_the_reactor_and_with_a_third_of_the_bus_lost_all_get_to_ready(short_root):
    """Reactor off, 30 % of bus events thrown away: every machine is ready, with no command in between."""
    counts = short_root / "counts.json"
    overrides = {
        "reactor": None,
        "engines": [{"racksalt_lossy": {"share": SHARE, "counts": str(counts)}}],
        "module_dirs": [str(LOSSY), str(share_dir("salt"))],
    }
    with Rack(short_root, master_overrides=overrides) as rack:
        rack.use_nodes(NAMES)
        rack.start()
        app = rack.open()
        try:
            assert not app.operations.run("commission", NAMES, "test", goal="ready")["refused"]
            done = wait_for(lambda: set(states_of(app).values()) == {"ready"}, 400, every_s=0.5)
            assert done is not None, [app.operations.why(n) for n in NAMES]
        finally:
            app.close()
    told = json.loads(counts.read_text())
    assert told["came"] > 10 * len(NAMES)
    assert 0.15 < told["thrown_away"] / told["came"] < 0.45
    assert told["unheard"] > 0
