"""Erase certificates on the command line: shown, handed to an auditor, and found out when changed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from racksalt.conductor.certificates import erasure_of
from racksalt.model.event import Event
from racksalt.store.tables import erase_certificates, nodes
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name

DISK = {
    "name": "sda",
    "serial": "S-1",
    "bytes": 1_000_204_886_016,
    "method": "ATA security erase",
    "verified": {"how": "the whole disk", "bytes": 1_000_204_886_016, "pattern": "00"},
}


@pytest.fixture
def erased(home):
    """An installation whose node n1 was erased by a job."""
    app = home.open()
    with app.store.write() as tx:
        tx.change(nodes, {"id": "n1"}, state="retiring", stage="erase", job="j1", approved=True)
    told = erasure_of({"erasure": {"disks": [DISK], "started_at": 1.0, "ended_at": 2.0}})
    data = {"jid": "j1", "message": "", "erasure": told}
    event = Event(
        id="job:j1:n1", node="n1", name="stage_succeeded", at=3.0, source="jobs", data=data
    )
    assert app.conductor.handle_wait(event).error is None
    app.close()
    return home


def test_a_certificate_is_shown_to_people_and_programs(erased):
    """Disk, serial number, method, how it was read back, and whether the signature is good."""
    text = erased.run("erase-certificate", "n1").stdout
    assert "signature good" in text
    assert "serial S-1" in text
    assert "1000204886016 bytes: ATA security erase" in text
    assert erased.json("erase-certificate", "n1")[0]["good"] is True


def test_a_node_without_one_is_told_so(erased):
    """An unknown node is an error; a known one simply has none."""
    assert "no erase certificate" in erased.run("erase-certificate", "n2").stdout
    assert erased.run("erase-certificate", "nobody").exit_code == 1
    assert erased.run("erase-certificate", "n2", "--out", "/nowhere").exit_code == 1


def test_what_an_auditor_gets_is_checked_by_openssl_and_by_us(erased, tmp_path):
    """Text, signature and public key are files; one changed byte and neither takes them."""
    assert erased.run("erase-certificate", "n1", "--out", str(tmp_path)).exit_code == 0
    held = tmp_path / "certificate.json"
    assert erased.run("verify-certificate", str(held)).stdout.startswith("good: n1 erased S-1")
    if shutil.which("openssl"):
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin"]
        command += ["-inkey", tmp_path / "public-key.pem", "-in", tmp_path / "document.json"]
        command += ["-sigfile", tmp_path / "document.sig"]
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    told = json.loads(held.read_text())
    told["document"] = told["document"].replace("S-1", "S-2")
    held.write_text(json.dumps(told))
    checked = erased.run("verify-certificate", str(held))
    assert checked.exit_code == 1
    assert "NOT GOOD: the signature does not fit the text" in checked.stdout


def test_a_certificate_that_was_changed_in_the_database_is_not_good(erased):
    """It is checked each time it is shown."""
    app = erased.open()
    with app.store.write() as tx:
        tx.change(
            erase_certificates,
            {"node": "n1"},
            document="rubbish",
        )
    app.close()
    shown = erased.run("erase-certificate", "n1")
    assert shown.exit_code == 1
    assert "NOT GOOD" in shown.stdout


def test_what_is_no_certificate_is_refused_in_words(erased, tmp_path):
    """The file is named, or what it lacks."""
    file = tmp_path / "x.json"
    file.write_text("[]")
    refused = erased.run("verify-certificate", str(file))
    assert refused.exit_code == 1
    assert "no erase certificate" in str(refused.exception)
    file.write_text("rubbish")
    assert "cannot be read" in str(erased.run("verify-certificate", str(file)).exception)
    file.write_text("[" * 100_000)
    assert "cannot be read" in str(erased.run("verify-certificate", str(file)).exception)
