"""How a booted environment makes its identity and talks to the boot API."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import subprocess
import sys
import threading

import pytest
import salt.config
import salt.loader
import salt.utils.files
import salt.utils.yaml
from salt.exceptions import CommandExecutionError

from racksalt.images.recipe import folder
from racksalt.share import share_dir
from tests.support.command_line import booted_by
from tests.support.salt_node import TOKEN, SaltNode

LINE = (
    "quiet racksalt.node=n1 racksalt.boot=3 racksalt.environment=live racksalt.token={token} "
    "racksalt.url=http://192.0.2.1:8800 racksalt.master={master} racksalt.master_finger=ab:cd"
)


class _BootApi(http.server.BaseHTTPRequestHandler):
    """Keeps what is reported; refuses a wrong token as the boot API does."""

    reports: list

    def do_POST(self):
        """Take one report."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["Authorization"] == f"Bearer {TOKEN}"
        self.reports.append((self.path, body))
        self.send_response(200 if right else 403)
        self.end_headers()
        answer = {"seq": 7, "state": "discovered"} if right else {"code": "proof_refused"}
        self.wfile.write(json.dumps(answer).encode())

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


@pytest.fixture
def reports():
    """What the boot API was told."""
    _BootApi.reports = []
    return _BootApi.reports


def prepared(node, root, master="192.0.2.1:4506", line=LINE):
    """Prepare a root from a command line; return its configuration and public key."""
    (root / "cmdline").write_text(line.format(token=TOKEN, master=master))
    node.modules.racksalt_boot.prepare(cmdline=str(root / "cmdline"), root=str(root))
    config = salt.utils.yaml.safe_load((root / "etc/salt/minion").read_text())
    return config, (root / "etc/salt/pki/minion/minion.pub").read_text().strip()


def test_a_boot_makes_its_own_key_and_proves_it(node, tmp_path):
    """The proof is over node id and key under the token; the master's fingerprint is pinned."""
    config, public = prepared(node, tmp_path)
    proof = hmac.new(TOKEN.encode(), f"n1\n{public}".encode(), hashlib.sha256).hexdigest()
    assert config["grains"]["racksalt_proof"] == proof
    assert (config["id"], config["master"], config["master_port"]) == ("n1", "192.0.2.1", 4506)
    assert config["master_finger"] == "ab:cd"
    assert config["racksalt"]["token"] == TOKEN
    assert config["cache_jobs"] is True


def test_the_grains_of_a_live_system_do_not_have_its_token(node, tmp_path, monkeypatch):
    """They go to the master, which caches them; Salt itself makes one of the kernel's command line."""
    line = booted_by("52-54-00-00-00-01", TOKEN)
    prepared(node, tmp_path, line=line)
    real_open = salt.utils.files.fopen

    def opened(path, *args, **more):
        return real_open(tmp_path / "cmdline" if path == "/proc/cmdline" else path, *args, **more)

    monkeypatch.setattr(salt.utils.files, "fopen", opened)
    conf = tmp_path / "etc/salt/minion"
    opts = salt.config.minion_config(str(conf), minion_id="n1")
    opts |= {"root_dir": str(tmp_path), "cachedir": str(tmp_path), "enable_fqdns_grains": False}
    told = repr(salt.loader.grains(opts))
    assert "racksalt_proof" in told
    assert TOKEN not in told
    assert TOKEN in repr(salt.loader.grains({**opts, "grains_blacklist": []}))


def test_the_live_system_calls_it_without_a_loader(node, tmp_path):
    """What is written is the same; what is missing is told in one line."""
    (tmp_path / "cmdline").write_text(LINE.format(token=TOKEN, master="192.0.2.1:4506"))
    program = folder() / "live/root/usr/lib/racksalt/prepare.py"
    call = [sys.executable, program, share_dir("salt") / "_modules/racksalt_boot.py"]
    subprocess.run([*call, tmp_path / "cmdline", tmp_path], check=True)
    config = salt.utils.yaml.safe_load((tmp_path / "etc/salt/minion").read_text())
    assert len(config["grains"]["racksalt_proof"]) == 64
    assert (tmp_path / "etc/salt/pki/minion/minion.pub").stat().st_size
    (tmp_path / "cmdline").write_text("quiet")
    told = subprocess.run([*call, tmp_path / "cmdline", tmp_path], capture_output=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith(b"the kernel's command line lacks racksalt.environment")


def test_each_boot_has_another_key(node, tmp_path):
    """Nothing of an earlier boot is kept."""
    first = prepared(node, tmp_path)[1]
    assert prepared(node, tmp_path)[1] != first


def test_only_root_can_read_what_was_written(node, tmp_path):
    """Token and private key are for their owner from the first byte on."""
    prepared(node, tmp_path)
    for name in ("etc/salt/minion", "etc/salt/pki/minion/minion.pem"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_a_master_may_have_an_address_of_either_family(node, tmp_path):
    """Brackets belong to the text, not to the address."""
    assert prepared(node, tmp_path, master="[2001:db8::1]:4506")[0]["master"] == "2001:db8::1"


def test_a_boot_without_a_token_is_refused_by_name(node, tmp_path):
    """A machine that was not booted by racksalt gets no half-made identity."""
    (tmp_path / "cmdline").write_text("quiet racksalt.node=n1")
    with pytest.raises(CommandExecutionError, match=r"racksalt\.token"):
        node.modules.racksalt_boot.prepare(cmdline=str(tmp_path / "cmdline"), root=str(tmp_path))
    assert not (tmp_path / "etc").exists()


def test_a_report_is_acknowledged(node, reports):
    """The inventory goes along unless something else is given; each report has an id of its own."""
    answer = node.modules.racksalt_boot.report("inventory_reported")
    node.modules.racksalt_boot.report("progress", {"percent": 50})
    assert answer == {"seq": 7, "state": "discovered"}
    (path, first), (_, second) = reports
    assert path == "/v1/nodes/n1/reports"
    assert first["data"] == node.describe()
    assert second["data"] == {"percent": 50}
    assert first["id"] != second["id"]


def test_a_refusal_is_told_without_the_token(node, reports):
    """The boot API's answer is in the error, the token is not."""
    node.reboot("b" * 64)
    try:
        with pytest.raises(CommandExecutionError, match="proof_refused") as caught:
            node.modules.racksalt_boot.report("progress")
    finally:
        node.reboot()
    assert "b" * 64 not in str(caught.value)


def test_a_minion_without_a_boot_token_reports_nothing(tmp_path):
    """An installed system has no token and says so."""
    node = SaltNode(tmp_path)
    del node.loaders.opts["racksalt"]
    with pytest.raises(CommandExecutionError, match="no boot token"):
        node.modules.racksalt_boot.report("progress", {})
