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


def test_without_a_master_asking_is_an_error_in_words(node):
    """The verb and Salt's reason are told (here: a minion without a master)."""
    with pytest.raises(CommandExecutionError, match=r"racksalt\.show: No access to master"):
        node.modules.racksalt_node.show()


def test_states_carry_the_errors_words(node):
    """A state does not fail with a trace back; its comment says what went wrong."""
    for told in (
        node.states.racksalt_rack.present(name="r9", zone="z1"),
        node.states.racksalt_network.present(name="admin", vlan=100),
        node.states.racksalt_network.absent(name="admin"),
        node.states.racksalt_node.present(name="n9", rack="r9"),
        node.states.racksalt_node.ready(name="n9"),
        node.states.racksalt_node.commissioned(name="n9"),
        node.states.racksalt_node.absent(name="n9"),
    ):
        assert told.result is False
        assert "No access to master" in told.comment
