"""Erase certificates over GraphQL: what was erased, and whether the signature is good."""

from __future__ import annotations

from racksalt.conductor.certificates import erasure_of
from racksalt.model.event import Event
from racksalt.store.tables import erase_certificates, nodes

ASKED = (
    "query($n: ID!){eraseCertificates(node:$n){nodeId good problem document signature key "
    "disks{serial sizeBytes method verified verifiedBytes}}}"
)
DISK = {
    "name": "sda",
    "serial": "S-1",
    "bytes": 480_103_981_056,
    "method": "zeros written by the device",
    "verified": {"how": "the whole disk", "bytes": 480_103_981_056},
}


def _erase(rig, node):
    with rig.store.write() as tx:
        held = tx.nodes([node])[node]
        tx.change(nodes, {"id": node}, state="retiring", stage="erase", job="j1", approved=True)
    assert held
    told = erasure_of({"erasure": {"disks": [DISK], "started_at": 1.0, "ended_at": 2.0}})
    data = {"jid": "j1", "message": "", "erasure": told}
    event = Event(
        id=f"job:j1:{node}", node=node, name="stage_succeeded", at=3.0, source="jobs", data=data
    )
    assert rig.site.conductor.handle_wait(event).error is None


def test_a_certificate_is_shown_with_its_disks_and_checked(rig):
    """Sizes beyond 32 bits, the exact text that was signed, and that it is good."""
    _erase(rig, "n1")
    found = rig.ask(ASKED, {"n": "n1"})["eraseCertificates"]
    assert [(one["nodeId"], one["good"], one["problem"]) for one in found] == [("n1", True, "")]
    disk = found[0]["disks"][0]
    assert disk["serial"] == "S-1"
    assert int(disk["sizeBytes"]) == 480_103_981_056
    assert disk["verified"] == "the whole disk"


def test_a_certificate_that_somebody_changed_is_told(rig):
    """A byte changed in the database is found when it is read."""
    _erase(rig, "n1")
    with rig.store.write() as tx:
        text = rig.ask(ASKED, {"n": "n1"})["eraseCertificates"][0]["document"]
        tx.change(erase_certificates, {"node": "n1"}, document=text.replace("S-1", "S-2"))
    found = rig.ask(ASKED, {"n": "n1"})["eraseCertificates"][0]
    assert found["good"] is False
    assert "does not fit" in found["problem"]


def test_a_node_without_one_has_none(rig):
    """Neither has one that is unknown."""
    assert rig.ask(ASKED, {"n": "n2"}) == {"eraseCertificates": []}
    assert rig.ask(ASKED, {"n": "nobody"}) == {"eraseCertificates": []}
