"""The YAML that pages show is what it claims to be: states that Salt compiles, sites and layers without a mistake."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

import pytest
import salt.state
import salt.utils.args
import yaml

from racksalt.adapters.site_files import check
from racksalt.share import share_dir
from racksalt.site.declare import SECTIONS
from racksalt.site.problems import errors
from tests.support import source
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture
from tests.support.salt_node import SaltNode

PAGES = [*source.under("docs", suffix=".md"), source.Path("README.md")]
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
DOCSTRING = re.compile(r"^( *)\.\. code-block:: yaml\n\n((?:\1 +\S.*\n|\n)+)", re.MULTILINE)
CALL = re.compile(r"[a-z_]+\.[a-z_]+\Z")
LAYER = re.compile(r"# pillar/(global/\w+|(?:zone|rack|node)/\w+)\.sls\n")

# What a page's site has besides what the page shows: its text says so, or leaves it to the reader.
AROUND: dict[str, Any] = {"zones": ["z1"], "racks": {it: {"zone": "z1"} for it in ("r1", "r4")}}
NETWORKS = {
    "prov-z1": {"purpose": "provisioning", "zone": "z1", "vlan": 110, "cidr_v4": "10.10.0.0/22"},
    "storage-z1": {"purpose": "storage", "zone": "z1", "vlan": 120, "cidr_v4": "10.30.0.0/22"},
}
BESIDES: dict[str, dict[str, Any]] = {
    "docs/how-to/add-a-stage.md": {**AROUND, "stages": {"our_raid": None}},
    "docs/how-to/bring-up-a-switch.md": {**AROUND, "networks": NETWORKS},
    "docs/how-to/describe-networks.md": {},
    "docs/reference/switches.md": {
        "zones": ["z1"],
        "racks": {it: {"zone": "z1"} for it in ("r1", "r9")},
        "networks": NETWORKS,
    },
}


def _blocks() -> list[tuple[str, str]]:
    """Return each page and the text of each of its examples, also those in the states' docstrings."""
    shown = [(str(page), text) for page in PAGES for _, text in BLOCK.findall(source.text(page))]
    for file in source.under("salt/_states"):
        for function in source.loader_functions(file):
            told = ast.get_docstring(function) or ""
            shown += [(str(file), text) for _, text in DOCSTRING.findall(f"{told}\n")]
    return [(page, textwrap.dedent(text)) for page, text in shown]


def _is_sls(text: str) -> bool:
    """Return whether each thing in a block calls a state."""
    value = yaml.safe_load(text)
    return isinstance(value, dict) and all(
        isinstance(body, dict) and any(CALL.match(str(key)) for key in body)
        for body in value.values()
    )


def _is_site(text: str) -> bool:
    value = yaml.safe_load(text)
    return isinstance(value, dict) and set(value) <= set(SECTIONS)


def _ids(blocks: list[tuple[str, str]]) -> list[str]:
    return [f"{page}, {number}" for number, (page, _) in enumerate(blocks)]


BLOCKS = _blocks()
STATES = [(page, text) for page, text in BLOCKS if _is_sls(text)]
SITES: dict[str, list[str]] = {}
for _page, _text in BLOCKS:
    if _is_site(_text):
        SITES.setdefault(_page, []).append(_text)
LAYERS = [(p, t) for p, t in BLOCKS if LAYER.match(t) or "racksalt" in yaml.safe_load(t)]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The loaders of a machine."""
    return SaltNode(tmp_path_factory.mktemp("node"), virtual=False)


@pytest.fixture
def compiled(node, tmp_path):
    """Return what Salt's compiler says to an SLS, as ``state.apply`` would, without any state being called."""
    roots = {"base": [str(tmp_path), str(share_dir("states"))]}

    def compiled(text: str, pillar: dict[str, Any] | None = None) -> list[str]:
        (tmp_path / "example.sls").write_text(text)
        opts = {**node.loaders.opts, "file_roots": roots, "cachedir": str(tmp_path / "cache")}
        with salt.state.HighState(opts, initial_pillar=pillar or {}) as state:
            high, unread = state.render_highstate({"base": ["example"]})
            wrong = [*unread, *state.state.verify_high(high)]
            chunks, apart = state.state.compile_high_data(high)
            wrong += apart
            for chunk in chunks:
                wrong += state.state.verify_data(chunk) or _unknown(state.state, chunk)
            return wrong

    return compiled


def _unknown(state: salt.state.State, chunk: dict[str, Any]) -> list[str]:
    """Return the arguments that a state of ours does not take: Salt says nothing to them."""
    name = f"{chunk['state']}.{chunk['fun']}"
    if not name.startswith("racksalt"):
        return []
    known = set(salt.utils.args.get_function_argspec(state.states[name]).args)
    given = set(chunk) - salt.state.STATE_INTERNAL_KEYWORDS - {"name"}
    return [f"{name} takes no {it}" for it in sorted(given - known)]


@pytest.mark.parametrize(("page", "text"), STATES, ids=_ids(STATES))
def test_salt_compiles_every_sls_that_is_shown(compiled, page, text):
    """States, arguments and requisites exist and fit one another: Salt would begin with it."""
    assert compiled(text) == [], page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n1:\n  racksalt_node.present:\n    - require:\n      - racksalt_node: n1\n", "Recursive"),
        ("n1:\n  racksalt_node.pressent:\n    - rack: r1\n", "pressent"),
        ("n1:\n  racksalt_node.present:\n    - rack: r1\n    - colour: red\n", "no colour"),
        ("n1:\n  racksalt_node.ready:\n    - require:\n      - racksalt_node: n2\n", "n2"),
    ],
)
def test_an_sls_with_a_mistake_would_be_found(compiled, text, words):
    """A state that requires itself, a function or argument that there is not, a requisite on nothing."""
    assert words in str(compiled(text))


@pytest.mark.parametrize("page", SITES)
def test_every_site_that_is_shown_is_sound(page, tmp_path):
    """The pieces of a page, put together as files of one site, have no mistake; nor have their stages."""
    (tmp_path / "site").mkdir()
    around = yaml.safe_dump(BESIDES.get(page, AROUND))
    for number, text in enumerate([around, *SITES[page]]):
        (tmp_path / "site" / f"{number}.yaml").write_text(text)
    assert list(map(str, errors(check(tmp_path)))) == []


@pytest.mark.parametrize(("page", "text"), LAYERS, ids=_ids(LAYERS))
def test_every_layer_that_is_shown_is_one(page, text, tmp_path):
    """The file that a page names, or one for all nodes, takes the values as they stand there."""
    named = LAYER.match(text)
    file = tmp_path / f"{named[1] if named else 'global/example'}.sls"
    file.parent.mkdir()
    file.write_text(text)
    assert list(map(str, errors(check(tmp_path)))) == [], page


@pytest.mark.parametrize(("page", "text"), LAYERS, ids=_ids(LAYERS))
def test_stages_compile_with_the_values_that_are_shown(compiled, page, text):
    """What a page gives to a stage gets through its SLS to its state, and means nothing else on the way."""
    values = yaml.safe_load(text)
    for stage in values.get("racksalt", {}).get("stages", {}):
        assert compiled(source.text(source.Path(f"states/stages/{stage}.sls")), values) == []


def test_no_state_takes_an_argument_that_salt_keeps_for_itself():
    """Salt would take ``require: [secure_boot]`` for a state to wait for, and the state would never hear of it."""
    kept = salt.state.STATE_INTERNAL_KEYWORDS - {"name"}
    for file in source.under("salt/_states"):
        for function in source.loader_functions(file):
            taken = {it.arg for it in [*function.args.args, *function.args.kwonlyargs]}
            assert not taken & kept, f"{file}: {function.name}"


def test_examples_are_found():
    """A page that shows its YAML in another way would be looked at by nobody."""
    assert {page for page, _ in STATES} >= {
        "docs/how-to/declare-racks-in-salt.md",
        "docs/how-to/bring-up-a-switch.md",
        "docs/how-to/describe-networks.md",
        "salt/_states/racksalt_raid.py",
    }
    assert {"docs/how-to/add-a-stage.md", "docs/explanation/erasing-disks.md"} <= set(SITES)
    assert {page for page, _ in LAYERS} >= {"docs/how-to/raid.md", "docs/how-to/burn-in.md"}
