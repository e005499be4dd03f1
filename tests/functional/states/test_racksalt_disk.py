"""The install and erase states: told before, done once, and refused on real disks."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading

import pytest
import salt.utils.yaml

from tests.support.salt_node import TOKEN, SaltNode

ENROLMENT = "e" * 64


class _BootApi(http.server.BaseHTTPRequestHandler):
    """The enrolment resource of the boot API, with the answers and refusals that a node meets."""

    def do_POST(self):
        """Answer the right token with the token of the first boot."""
        self.rfile.read(int(self.headers["Content-Length"]))
        right = self.headers["Authorization"] == f"Bearer {TOKEN}"
        body = {"token": ENROLMENT, "expires_at": 2e9} if right else {"code": "proof_refused"}
        self.send_response(200 if right else 403)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A machine whose boot API is a server of this test."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _BootApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SaltNode(tmp_path_factory.mktemp("node"), url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("test", [True, False])
def test_partitioned_tells_then_does_then_rests(node, test):
    """Test mode leaves the disk alone; a second run in the same boot changes nothing."""
    (node.disk / "old").write_text("data")
    ret = node.states.racksalt_disk.partitioned(name="p", test=test)
    assert ret.result is (None if test else True)
    assert ret.changes
    assert (node.disk / "old").exists() is test
    if not test:
        again = node.states.racksalt_disk.partitioned(name="p")
        assert (again.result, again.changes) == (True, {})


def test_another_installation_partitions_anew(node):
    """A reinstalled node starts from an empty disk, whatever was on it."""
    node.states.racksalt_disk.partitioned(name="p")
    (node.disk / "old").write_text("data")
    node.reboot("a" * 64)
    try:
        assert node.states.racksalt_disk.partitioned(name="p").changes
    finally:
        node.reboot()
    assert not (node.disk / "old").exists()


@pytest.mark.parametrize("test", [True, False])
def test_imaged_tells_then_does_then_rests(node, test):
    """The files that differ are the changes."""
    ret = node.states.racksalt_disk.imaged(
        name="i", settings={"source": "images/minimal"}, test=test
    )
    assert ret.result is (None if test else True)
    assert len(ret.changes["files"]) == 2
    assert (node.disk / "etc/os-release").exists() is not test
    if not test:
        again = node.states.racksalt_disk.imaged(name="i", settings={"source": "images/minimal"})
        assert (again.result, again.changes) == (True, {})


@pytest.mark.parametrize("test", [True, False])
def test_configured_tells_then_does_then_rests(node, test):
    """The key pair is made once for one installation."""
    ret = node.states.racksalt_disk.configured(name="c", test=test)
    assert ret.result is (None if test else True)
    key = node.disk / "etc/salt/pki/minion/minion.pem"
    assert key.exists() is not test
    if not test:
        before = key.read_text()
        again = node.states.racksalt_disk.configured(name="c")
        assert (again.result, again.changes) == (True, {})
        assert key.read_text() == before


def test_the_installed_minion_proves_itself_with_its_own_key(node):
    """The proof is over node id and public key, under the token of the first boot; the token is not there."""
    node.states.racksalt_disk.configured(name="c")
    text = (node.disk / "etc/salt/minion").read_text()
    config = salt.utils.yaml.safe_load(text)
    public = (node.disk / "etc/salt/pki/minion/minion.pub").read_text().strip()
    proof = hmac.new(ENROLMENT.encode(), f"n1\n{public}".encode(), hashlib.sha256).hexdigest()
    assert config["grains"]["racksalt_proof"] == proof
    assert config["autosign_grains"] == ["racksalt_proof"]
    assert config["id"] == "n1"
    assert config["cache_jobs"] is True
    assert ENROLMENT not in text
    assert TOKEN not in text


def test_keys_and_configuration_are_for_their_owner_only(node):
    """Nobody else on the installed system can read the key or the configuration."""
    node.states.racksalt_disk.configured(name="c")
    for name in ("etc/salt/minion", "etc/salt/pki/minion/minion.pem"):
        assert (node.disk / name).stat().st_mode & 0o077 == 0


def test_a_refused_token_fails_without_showing_it(node):
    """The boot API's answer is told; the token is in no comment."""
    node.reboot("b" * 64)
    try:
        ret = node.states.racksalt_disk.configured(name="c")
    finally:
        node.reboot()
    assert ret.result is False
    assert "proof_refused" in ret.comment
    assert "b" * 64 not in ret.comment


@pytest.mark.parametrize("test", [True, False])
def test_erased_tells_then_does_then_rests(node, test):
    """An empty disk is as it should be."""
    (node.disk / "old").write_text("data")
    ret = node.states.racksalt_disk.erased(name="e", test=test)
    assert ret.result is (None if test else True)
    assert (node.disk / "old").exists() is test
    if not test:
        again = node.states.racksalt_disk.erased(name="e")
        assert (again.result, again.changes) == (True, {})


@pytest.mark.parametrize(
    ("want", "asked"),
    [
        (None, {"disks": "system"}),
        ({"verify": {"samples": 64}}, {"disks": "system", "verify": {"samples": 64}}),
        ({"disks": "all"}, {"disks": "all"}),
    ],
)
def test_the_stage_wipe_leaves_data_disks_alone_unless_it_is_told(node, want, asked):
    """A site that sets how is read back has not asked for all disks to be erased."""
    pillar = {"racksalt": {"stages": {"wipe": want}}} if want else {}
    shown = node.modules.state.show_sls("stages.wipe", pillar=pillar)
    (settings,) = [one["settings"] for one in shown["wipe"]["racksalt_disk"] if "settings" in one]
    assert settings == asked
