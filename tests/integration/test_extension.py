"""A site adds a stage of its own, and the machines run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from racksalt.adapters.site_files import SiteFolder, check, write_site
from racksalt.lab.rack import Rack, states_of
from racksalt.model.errors import UnsoundMachineError
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.share import share_dir
from tests.support.waiting import wait_for

EXTENSION = Path(__file__).resolve().parent.parent / "support" / "extension"
GPU = {
    "environment": "live",
    "sls": "stages.burn_in_gpu",
    "deadline_s": 600,
    "meaning": "Loads the GPUs.",
    "when": {"rack": "r2"},
    "after": "burn_in",
}


def stages_of(app, node):
    """Return the stages that the node went through, in order."""
    entries = reversed(app.operations.history(node, limit=200))
    return list(
        dict.fromkeys(e["stage"] for e in entries if e["kind"] == "transition" and e["stage"])
    )


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nodes_of_one_rack_run_the_sites_own_stage(short_root):
    """``burn_in_gpu`` comes after ``burn_in`` for the node in r2, and not for the one in r1."""
    roots = [str(share_dir("salt")), str(share_dir("states")), str(EXTENSION)]
    with Rack(short_root, master_overrides={"file_roots": {"base": roots}}) as rack:
        rack.use_nodes(["e1", "e2"])
        write_site(rack.installation.site, {"site/gpu.yaml": {"stages": {"burn_in_gpu": GPU}}})
        rack.start()
        app = rack.open()
        try:
            app.operations.run("commission", ["e1", "e2"], "test", goal="ready")
            done = wait_for(lambda: set(states_of(app).values()) == {"ready"}, 300, every_s=0.5)
            assert done is not None, [app.operations.why(n) for n in ("e1", "e2")]
            plain, extended = stages_of(app, "e1"), stages_of(app, "e2")
            assert "burn_in_gpu" not in plain
            assert extended[extended.index("burn_in") + 1] == "burn_in_gpu"
            assert [stage for stage in extended if stage != "burn_in_gpu"] == plain
        finally:
            app.close()


def read(folder, change):
    """Return what is wrong with a site that has this stage, or raise what the machine says of it."""
    racks = {"zones": ["z1"], "racks": {"r2": {"zone": "z1"}}}
    stages = {"stages": {"burn_in_gpu": {**GPU, **change}}}
    write_site(folder, {"site/racks.yaml": racks, "site/gpu.yaml": stages})
    problems = " ".join(str(problem) for problem in check(folder))
    if not problems:
        declared = SiteFolder(folder).declarations()
        Sequences(STAGES, SEQUENCES, MACHINE).extend(declared.additions)
    return problems


@pytest.mark.parametrize(
    ("change", "why"),
    [({"deadline_s": -1}, "deadline_s"), ({"when": {"rack": "r77"}}, "r77")],
)
def test_a_stage_that_makes_no_sense_is_named_by_the_check_of_the_site(tmp_path, change, why):
    """A stage without time or for no rack is told with its file and key."""
    problems = read(tmp_path, change)
    assert "gpu.yaml" in problems
    assert why in problems


@pytest.mark.parametrize(
    ("change", "why"),
    [({"after": "burn_inn"}, "burn_inn"), ({"environment": "local"}, "environment")],
)
def test_an_unsound_stage_is_refused_by_the_machine(tmp_path, change, why):
    """A stage after nothing, or in an environment without an agent, changes nothing and says why."""
    try:
        told = read(tmp_path, change)
    except UnsoundMachineError as error:
        told = str(error)
    assert why in told


def test_a_sound_stage_is_taken(tmp_path):
    """The same stage without the fault is no problem: the tests above can fail."""
    assert read(tmp_path, {}) == ""
