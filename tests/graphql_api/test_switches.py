"""What is done to switches is in the same journal as what happens to nodes."""

from __future__ import annotations

from tests.graphql_api.rig import running
from tests.support.switch_memory import Memory

JOURNAL = """query($node: String!) {
  transitions(first: 10, filter: {node: {eq: $node}}) {
    nodes { nodeId node { id } kind event actor message toState }
  }
}"""


def test_changes_of_switches_are_in_the_journal(tmp_path):
    """They have the switch's name, no node and no state; like all that is noted, they need audit:read."""
    tor = {"rack": "r1", "via": "local", "ports": {"swp1": {"position_u": 1}}}
    with running(tmp_path, switches={"tor": tor}) as rig:
        rig.site.switches.drivers = {"linux": Memory()}
        rig.site.switches.apply("tor", "ann")
        head = rig.store.head()
        rig.until(lambda: rig.services.snapshot.seq >= head)
        found = rig.ask(JOURNAL, {"node": "switch:tor"})["transitions"]["nodes"]
        assert [it["event"] for it in found] == ["switch_change_began", "switch_changed"]
        assert {(it["kind"], it["actor"], it["toState"]) for it in found} == {
            ("NOTED", "ann", None)
        }
        assert found[0]["nodeId"] == "switch:tor"
        assert found[0]["node"] is None
        few = rig.ask(JOURNAL, {"node": "switch:tor"}, scopes=("topology:read",))
        assert few["transitions"]["nodes"] == []
        # The readers of the journal that know nodes only are not confused.
        assert set(rig.site.operations.replay()) == {"n1", "n2", "n3", "n4"}
        assert len(rig.site.operations.history("switch:tor")) == 2
