from __future__ import annotations

from racksalt.site.explain import explain
from racksalt.site.impact import impact, scope_of
from racksalt.site.layers import REMOVE, Layer, Origin, merge
from racksalt.site.problems import SiteProblem
from racksalt.site.schema import Place
from racksalt.site.tell import explanation_lines, impact_lines, problem_lines

BASE = Layer(Origin("global", "global/base.sls"), {"ntp": {"servers": ["g"], "step_s": 1}})
RACK = Layer(Origin("rack:r1", "rack/r1.sls"), {"ntp": {"servers": ["r"]}})
CUT = Layer(Origin("node:n1", "node/n1.sls"), {"ntp": REMOVE})


def told(key: str, *layers: Layer) -> list[str]:
    """Return the lines that explain a key."""
    return explanation_lines(explain(layers, key).as_dict())


def test_a_value_is_told_with_its_layer_and_what_it_hides():
    """The first line is the value, the second who sets it."""
    assert told("ntp:servers", BASE, RACK) == [
        'ntp:servers = ["r"]',
        "from rack:r1 (rack/r1.sls)",
        "hidden:",
        '  global (global/base.sls)  ["g"]',
    ]


def test_a_map_is_told_leaf_by_leaf():
    """Each leaf has a layer of its own, and what is hidden names its key."""
    assert told("ntp", BASE, RACK) == [
        'ntp = {"servers": ["r"], "step_s": 1}',
        "  ntp:servers  from rack:r1 (rack/r1.sls)",
        "  ntp:step_s   from global (global/base.sls)",
        "hidden:",
        '  global (global/base.sls)  ntp:servers = ["g"]',
    ]


def test_a_removed_key_is_told_with_its_remover():
    """Gone is gone, and somebody did it."""
    assert told("ntp:step_s", BASE, CUT) == [
        "ntp:step_s is removed",
        "by node:n1 (node/n1.sls)",
        "hidden:",
        "  global (global/base.sls)  1",
    ]


def test_an_impact_is_told_node_by_node():
    """What the file sets and what is hidden there; with a new content, what would change."""
    places = [Place("n1", "r1", None), Place("n22", "r1", None)]
    scope = scope_of("rack/r1.sls")

    def layers_of(place: Place) -> tuple[Layer, ...]:
        return (BASE, RACK, CUT) if place.node == "n1" else (BASE, RACK)

    assert impact_lines(impact(scope, places, layers_of, merge).as_dict()) == [
        "rack/r1.sls reaches 2 nodes",
        "  n1   ntp:servers is hidden by node:n1 (node/n1.sls)",
        "  n22  sets ntp:servers",
    ]
    new = Layer(scope.origin, {"ntp": {"step_s": 2, "x": True}})
    assert impact_lines(impact(scope, places, layers_of, merge, new).as_dict()) == [
        "rack/r1.sls would change 1 node",
        '  n22  ntp:servers: ["r"] becomes ["g"]',
        "       ntp:step_s: 1 becomes 2",
        "       ntp:x: true is new",
    ]


def test_a_problem_is_told_with_file_key_and_remedy():
    """In full, however narrow the terminal; a warning says that it is one."""
    problem = SiteProblem("site/a.yaml", "nodes:n1:rack", "no rack 'r9'", "did you mean r1?")
    warning = SiteProblem("rack/r1.yaml", "", "is not read", severity="warning")
    assert problem_lines([problem.as_dict(), warning.as_dict()]) == [
        "site/a.yaml: nodes:n1:rack: no rack 'r9'",
        "  did you mean r1?",
        "warning: rack/r1.yaml: is not read",
    ]
