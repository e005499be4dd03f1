"""What a node knows of itself from its own pillar, and how it asks racksalt."""

from __future__ import annotations

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.salt_node import SaltNode

OWN = {"node": "n1", "zone": "z1", "rack": "r1", "position_u": 4, "roles": ["database"]}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A minion with the pillar that racksalt serves."""
    node = SaltNode(tmp_path_factory.mktemp("node"))
    node.loaders.opts["pillar"] = {"racksalt": OWN}
    return node


def test_a_node_knows_its_place_and_roles(node):
    """Values are the pillar's own, not the asterisks that Salt shows to others."""
    assert node.modules.racksalt_node.place() == {"zone": "z1", "rack": "r1", "position_u": 4}
    assert node.modules.racksalt_node.roles() == ["database"]


@pytest.fixture
def master(node, monkeypatch):
    """Choose what the master answers to ``publish.runner``; there is no daemon to ask here."""
    assert node.modules["publish.runner"], "loaded, so that it is not loaded over the answer"

    def says(answer):
        monkeypatch.setitem(node.modules._dict, "publish.runner", lambda *_, **__: answer)

    return says


@pytest.mark.parametrize("answer", [{}, None, "Exception occurred in runner", False])
def test_what_the_master_does_not_answer_is_an_error(node, master, answer):
    """A minion that may not ask gets {}; that is no answer."""
    master(answer)
    with pytest.raises(CommandExecutionError, match=r"racksalt\.show"):
        node.modules.racksalt_node.show()


def test_states_carry_the_errors_words(node, master):
    """A state does not fail with a trace back; its comment says what the master said."""
    master("no rack 'r9'")
    told = node.modules.racksalt_node.declare("nodes", "n9", {"rack": "r9"})
    assert told["result"] is False
    assert "no rack 'r9'" in told["comment"]
    assert "no rack 'r9'" in node.modules.racksalt_node.desire("n9", "ready")["comment"]


def test_an_answer_is_handed_on(node, master):
    """An empty listing is an answer; a state's changes become its result."""
    master({})
    assert node.modules.racksalt_node.list_nodes() == {}
    master({"changes": {"nodes": {"n9": {"rack": "r9"}}}})
    told = node.modules.racksalt_node.declare("nodes", "n9", {"rack": "r9"}, test=True)
    assert (told["result"], bool(told["changes"])) == (None, True)
    master({"changes": {}})
    assert node.modules.racksalt_node.declare("nodes", "n9", {"rack": "r9"})["result"] is True
