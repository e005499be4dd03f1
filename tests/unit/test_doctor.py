"""The doctor finds what is wrong and says what to mend."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import threading

from racksalt.doctor import examine
from racksalt.settings import BootApi, GraphqlApi
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_):
        """Print nothing."""


@contextlib.contextmanager
def _services():
    """Something that answers as our services do, and a port that takes connections as a master does."""
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as server,
        socket.create_server(("127.0.0.1", 0)) as master,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, master.getsockname()[1]
        server.shutdown()
        thread.join()


def _bad(home, check):
    return [
        finding for finding in examine(home.settings) if not finding.ok and finding.check == check
    ]


def test_a_healthy_installation_has_no_bad_finding(home):
    """Everything is there, everything answers."""
    (home.root / "secrets/bmc.yaml").write_text("lab: x\n")
    with _services() as (port, master):
        boot = BootApi(port=port, master=f"127.0.0.1:{master}", master_finger="aa:bb")
        home.change(boot_api=boot, graphql=GraphqlApi(port=port))
        bad = [finding for finding in examine(home.settings) if not finding.ok]
    assert {finding.seen for finding in bad} <= {"n1 has no BMC", "n2 has no BMC"}


def test_services_that_do_not_run_are_found(home):
    """Each with the command that starts it."""
    assert "racksalt serve" in _bad(home, "boot API")[0].remedy
    assert "racksalt serve" in _bad(home, "GraphQL")[0].remedy


def test_a_master_that_does_not_run_is_found(home):
    """Nothing listens where nodes are told to look for it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home.change(boot_api=BootApi(port=1, master=f"127.0.0.1:{port}"))
    assert "start salt-master" in _bad(home, "Salt master")[0].remedy


def test_a_port_that_something_else_has_is_found(home):
    """What greets in another protocol is no service of ours, and does not end the doctor."""

    class Greets(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Greets) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        port = other.server_address[1]
        home.change(boot_api=BootApi(port=port), graphql=GraphqlApi(port=1))
        try:
            (bad,) = _bad(home, "boot API")
        finally:
            other.shutdown()
            thread.join()
    assert "speaks no HTTP" in bad.seen
    assert str(port) in bad.remedy


def test_a_master_with_an_ipv6_address_is_asked(home):
    """The brackets part address and port; they are no part of the address."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as master:
        text = f"[::1]:{master.getsockname()[1]}"
        home.change(boot_api=BootApi(port=1, master=text))
        assert not _bad(home, "Salt master")


def test_nodes_that_cannot_pin_the_master_are_found(home):
    """The setting is empty until somebody fills it in, and nothing else would tell."""
    home.change(boot_api=BootApi(port=1))
    assert "cannot pin" in _bad(home, "master finger")[0].seen
    home.change(boot_api=BootApi(port=1, master_finger="aa:bb"))
    assert not _bad(home, "master finger")


def test_secrets_that_others_can_read_are_found(home):
    """With the command that mends it."""
    (home.root / "secrets/boot.key").chmod(0o644)
    assert "chmod 600" in _bad(home, "secrets")[0].remedy


def test_a_broken_site_is_found(home):
    """File, key and message are told."""
    (home.site / "site/more.yaml").write_text("nodes: {n3: {rack: nowhere}}\n")
    assert any("nowhere" in finding.seen for finding in _bad(home, "site"))


def test_a_network_that_no_file_declares_is_told(home):
    """It may be a Salt state's, so nothing is wrong; but nothing else would tell."""
    networks = home.site / "site/networks.yaml"
    networks.write_text("networks: {p2: {cidr_v4: 10.2.0.0/24}}\n")
    assert home.run("site", "declare").exit_code == 0
    assert not [it for it in examine(home.settings) if it.check == "networks"]
    networks.unlink()
    (told,) = [it for it in examine(home.settings) if it.check == "networks"]
    assert told.ok
    assert told.seen == "p2 is served, but no file declares it"
    assert "racksalt site forget-network p2" in told.remedy


def test_a_database_that_cannot_be_opened_is_found(home):
    """The doctor goes on with the other checks."""
    (home.root / "racksalt.db").write_bytes(b"this is no database" * 100)
    found = examine(home.settings)
    assert any(not finding.ok and finding.check == "database" for finding in found)
    assert any(finding.check == "Salt master" for finding in found)
