"""Erase certificates: written with the journal entry, bounded, and worthless after one changed byte."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from racksalt.adapters.erase_seal import EraseSeal
from racksalt.conductor.certificates import as_dict, certify, check, erasing, erasure_of, parse
from racksalt.conductor.handle import handle
from racksalt.model.event import Event
from racksalt.model.node import Hardware
from racksalt.store import Store
from racksalt.store.certificates import certificates
from racksalt.store.tables import nodes
from tests.support.builders import a_node, the_rules

SEAL = EraseSeal(bytes(range(32)))
DISK = {
    "name": "sda",
    "serial": "S-1",
    "wwn": "0x5000c500a1b2c3d4",
    "model": "DISKMAKER 1",
    "bytes": 480_103_981_056,
    "method": "NVMe sanitize, block erase",
    "notes": [],
    "verified": {"how": "the whole disk", "bytes": 480_103_981_056, "pattern": "00"},
    "started_at": 1000.0,
    "ended_at": 1060.5,
}
TOLD = {"disks": [DISK], "started_at": 999.0, "ended_at": 1061.0, "tools": {"nvme": "nvme 2.3"}}


@pytest.fixture
def store(tmp_path):
    """A store with a node that is being erased by a job."""
    opened = Store(f"sqlite:///{tmp_path}/racksalt.db")
    node = a_node("n1", state="retiring", stage="erase", job="j1", approved=True)
    with opened.write() as tx:
        tx.add_nodes([node])
        tx.put([Hardware(node="n1", serial="SN-1", system_uuid="u-1", vendor="V", product="P")])
    yield opened
    opened.close()


def _result(told=TOLD, name="stage_succeeded", jid="j1"):
    return Event(
        id=f"job:{jid}:n1",
        node="n1",
        name=name,
        at=2000.0,
        source="jobs",
        data={"jid": jid, "message": "", "erasure": erasure_of({"erasure": told or {}})},
    )


def _take(store, *events, seal=SEAL):
    with store.write() as tx:
        stages = erasing(tx, events, the_rules())
        outcomes = handle(tx, events, the_rules(), 2000.0)
        certify(tx, events, outcomes, stages, seal)
    return certificates(store, "n1", 10)


def test_a_finished_erasure_is_certified(store):
    """The text names node, machine, job, every disk with method and proof, and when; the signature is good."""
    found = _take(store, _result())
    assert len(found) == 1
    text = json.loads(found[0].document)
    assert (text["node"], text["jid"], text["machine"]["serial"]) == ("n1", "j1", "SN-1")
    assert text["stage"] == "erase"
    assert text["started"] == "1970-01-01T00:16:39Z"
    assert text["issued"] == "1970-01-01T00:33:20Z"
    disk = text["disks"][0]
    assert disk["verified"] == DISK["verified"]
    assert {key: disk[key] for key in ("serial", "wwn", "bytes", "method")} == {
        key: DISK[key] for key in ("serial", "wwn", "bytes", "method")
    }
    assert check(found[0], SEAL) == ""


@pytest.mark.parametrize("told", [None, {}, {"disks": []}, {"disks": ["sda"]}])
def test_an_erasure_that_tells_nothing_is_a_failure(store, told):
    """No node is released or retired without a certificate, whatever its live system or a site's state answers."""
    assert _take(store, _result(told=told)) == []
    entry = store.history("n1", limit=1)[0]
    assert (entry.event, entry.to_state) == ("stage_failed", "retiring")
    assert "nothing to certify" in entry.message
    assert store.node("n1").stage_attempt == 1


def test_it_belongs_to_the_journal_entry_that_moved_the_node(store):
    """The certificate names the entry; the entry holds what was reported."""
    found = _take(store, _result())
    entry = store.history("n1", limit=1)[0]
    assert entry.seq == found[0].seq
    assert entry.to_state == "retired"
    assert entry.detail["erasure"]["disks"][0]["serial"] == "S-1"


def test_a_result_that_is_told_again_is_certified_once(store):
    """Results are looked up again and again; the job's certificate stays one."""
    first = _take(store, _result(), _result())
    assert _take(store, _result()) == first


@pytest.mark.parametrize(
    "event",
    [_result(name="stage_failed"), _result(jid="j0"), _result(told={})],
    ids=["failed", "another job's", "nothing was erased"],
)
def test_nothing_else_is_certified(store, event):
    """A failure, a stale result and a stage that erased nothing leave no certificate."""
    assert _take(store, event) == []


def test_only_a_stage_that_erases_is_certified(store):
    """A node that tells of an erasure in its inventory has erased nothing by our order."""
    with store.write() as tx:
        tx.change(nodes, {"id": "n1"}, state="commissioning", stage="inventory")
    assert _take(store, _result()) == []


def test_what_did_not_come_by_the_job_cache_is_not_certified(store):
    """A report that a node may have made up by itself is no result of a job."""
    assert _take(store, replace(_result(), source="boot")) == []


def test_without_a_key_nothing_is_certified(store):
    """There is no unsigned certificate."""
    assert _take(store, _result(), seal=None) == []


@pytest.mark.parametrize("at", [0, 10, 200, -1])
def test_one_changed_byte_is_found(store, at):
    """Wherever it is in the text, and in the signature too."""
    good = as_dict(_take(store, _result())[0], SEAL)
    assert good["good"] is True
    text = good["document"]
    place = at % len(text)
    other = text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]
    assert "does not fit" in check(parse({**good, "document": other}), SEAL)
    raw = bytearray(base64.b64decode(good["signature"]))
    raw[at % len(raw)] ^= 1
    signature = base64.b64encode(bytes(raw)).decode()
    assert "does not fit" in check(parse({**good, "signature": signature}), SEAL)


def test_another_sites_certificate_is_told_as_such(store):
    """A key that is not this site's is named, whatever it signed."""
    found = _take(store, _result(), seal=EraseSeal(bytes(32)))[0]
    assert "signed with another key" in check(found, SEAL)


def test_a_signature_that_is_no_base64_is_told_as_such(store):
    """Rubbish is no reason to fail."""
    good = as_dict(_take(store, _result())[0], SEAL)
    assert check(parse({**good, "signature": "§"}), SEAL) == "the signature is no base64"


@pytest.mark.parametrize("told", [None, [], {}, {"document": 5, "signature": "", "key": ""}])
def test_what_is_no_certificate_is_refused(told):
    """The message says what is missing."""
    with pytest.raises(ValueError, match=r"JSON object|lacks"):
        parse(told)


def test_a_node_cannot_say_more_than_fits():
    """Texts are cut and cleaned, numbers that make no sense are left out, the rest stays."""
    told = erasure_of(
        {
            "erasure": {
                "disks": [{"name": "s\x00da" * 999, "bytes": -1, "verified": 5}, "no disk"] * 999,
                "started_at": "yesterday",
                "tools": {"t" * 999: "v" * 999},
            }
        }
    )
    assert len(told["disks"]) <= 512
    assert len(told["disks"][0]["name"]) == 128
    assert "\x00" not in told["disks"][0]["name"]
    assert told["disks"][0]["bytes"] is None
    assert told["started_at"] is None
    assert max(map(len, told["tools"])) <= 128


@pytest.mark.parametrize("told", [{}, {"erasure": 5}, {"erasure": {"disks": []}}])
def test_a_result_without_disks_is_no_erasure(told):
    """There is nothing to certify."""
    assert erasure_of(told) is None
