"""The Redfish client and adapter against the lab's own Redfish BMCs, through real worker processes."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading
from contextlib import contextmanager

import pytest

from racksalt.adapters.redfish import RedfishPower
from racksalt.adapters.redfish_client import RedfishClient
from racksalt.conductor.ports import FirmwareImage
from racksalt.lab.redfish_bmc import RefusedError
from racksalt.model.errors import BmcRefusedError, BmcUnreachableError, InvalidInputError
from tests.support.redfish_rig import PASSWORD, redfish_rig
from tests.support.waiting import wait_for


@pytest.fixture(name="lab")
def lab_fixture(tmp_path):
    """One Redfish BMC of the lab."""
    with redfish_rig(tmp_path) as made:
        yield made


@pytest.fixture(name="power")
def power_fixture(lab):
    """The adapter with its usual settings."""
    adapter = RedfishPower(lab.secrets)
    yield adapter
    adapter.close()


@contextmanager
def images(folder):
    """Serve a folder over HTTP on loopback; gives its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_bios_attributes_wait_for_the_next_start_and_are_read_back(lab, power):
    """What was asked for is pending until the machine starts, and in force afterwards."""
    bmc = lab.record()
    power.on(bmc)
    before = power.bios(bmc)
    assert (before.current["SecureBoot"], before.pending) == ("Disabled", {})
    wanted = {"SecureBoot": "Enabled", "NumaNodesPerSocket": 2}
    for _ in range(2):
        asked = power.set_bios(bmc, wanted)
        assert asked.pending == wanted
        assert asked.current["SecureBoot"] == "Disabled"
    power.off(bmc)
    power.on(bmc)
    after = power.bios(bmc)
    assert (after.current["SecureBoot"], after.current["NumaNodesPerSocket"]) == ("Enabled", 2)
    assert after.pending == {}


def test_a_bios_attribute_that_is_not_there_is_named_and_nothing_is_sent(lab, power):
    """A misspelt attribute changes nothing, not even the ones beside it."""
    with pytest.raises(BmcRefusedError, match="no attribute SecureBoof") as caught:
        power.set_bios(lab.record(), {"SecureBoof": "Enabled", "SecureBoot": "Enabled"})
    assert caught.value.detail["attributes"] == ["SecureBoof"]
    assert lab.bmcs[0].wanted == {}


def test_a_bios_value_that_the_bmc_refuses_is_told_in_its_words(lab, power):
    """The reason is the BMC's own message."""
    with pytest.raises(BmcRefusedError, match=r"HTTP 400.*wrong type"):
        power.set_bios(lab.record(), {"NumaNodesPerSocket": "two"})


def test_a_bios_value_that_was_not_taken_is_an_error(lab, power, monkeypatch):
    """A BMC that says yes and does nothing is found out by reading back."""
    monkeypatch.setattr(type(lab.bmcs[0]), "set_bios", lambda self, attributes: None)
    with pytest.raises(BmcRefusedError, match="did not take SecureBoot"):
        power.set_bios(lab.record(), {"SecureBoot": "Enabled"})


def _image(folder, **content):
    raw = json.dumps(content).encode()
    (folder / "image.bin").write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def test_firmware_is_written_after_its_checksum_was_right(lab, power, tmp_path):
    """The task is followed to its end; BIOS firmware runs from the next start on."""
    bmc = lab.record()
    digest = _image(tmp_path, target="bios", version="2.1")
    target = next(one.target for one in power.firmware(bmc) if one.name == "bios")
    with images(tmp_path) as url:
        image = FirmwareImage(url=f"{url}/image.bin", sha256=digest, targets=(target,))
        task = power.update_firmware(bmc, image)
        wait_for(lambda: power.task(bmc, task).state != "running", 20)
        done = power.task(bmc, task)
    assert (done.state, done.percent) == ("succeeded", 100)
    power.on(bmc)
    versions = {one.name: one.version for one in power.firmware(bmc)}
    assert versions["bios"] == "2.1"


def test_a_wrong_image_is_a_failed_task_with_its_reason(lab, power, tmp_path):
    """What the BMC says of it is passed on."""
    bmc = lab.record()
    digest = _image(tmp_path, target="toaster", version="1")
    with images(tmp_path) as url:
        task = power.update_firmware(bmc, FirmwareImage(url=f"{url}/image.bin", sha256=digest))
        wait_for(lambda: power.task(bmc, task).state != "running", 20)
        done = power.task(bmc, task)
    assert (done.state, done.message) == ("failed", "The image is for 'toaster'.")


@pytest.mark.parametrize("sha256", ["", "abc", "0" * 64])
def test_firmware_without_its_checksum_is_not_written(lab, power, tmp_path, sha256):
    """No checksum or another one: the BMC is not even asked."""
    _image(tmp_path, target="bios", version="6.6")
    with images(tmp_path) as url, pytest.raises(InvalidInputError, match="SHA-256"):
        power.update_firmware(lab.record(), FirmwareImage(url=f"{url}/image.bin", sha256=sha256))
    assert lab.bmcs[0].tasks == {}


def test_sensors_have_names_values_and_units(lab, power):
    """A machine that is off draws little and blows nothing."""
    off = {one.name: one for one in power.sensors(lab.record())}
    power.on(lab.record())
    on = {one.name: one for one in power.sensors(lab.record())}
    assert {name: one.unit for name, one in on.items()} == {
        "Inlet": "celsius",
        "Fan 1": "rpm",
        "System": "watts",
    }
    assert on["System"].value > off["System"].value > 0
    assert on["Fan 1"].value > off["Fan 1"].value == 0


def test_factory_passwords_that_still_work_are_named(lab, power):
    """One try each, in sessions that are given back; a good BMC accepts none, and the circuit stays closed."""
    bmc = lab.record()
    assert power.default_logins(bmc) == []
    lab.bmcs[0].password = "password"
    assert power.default_logins(bmc) == ["admin"]
    assert power.circuit(bmc) == "closed"
    assert len(lab.bmcs[0].sessions) == 0


def test_one_session_and_one_connection_serve_many_requests(lab):
    """Each TLS handshake costs more than the request itself."""
    client = RedfishClient(
        "127.0.0.1", lab.ports[0], "admin", PASSWORD, lab.front.certificate.sha256
    )
    try:
        for _ in range(20):
            assert client.observe() == "off"
        assert client.http.connections == 1
        assert len(lab.bmcs[0].sessions) == 1
    finally:
        client.close()
    assert len(lab.bmcs[0].sessions) == 0


def _busy():
    raise RefusedError(503, "ServiceTemporarilyUnavailable", "The host is in POST.")


def test_server_errors_cost_no_session(lab, power, monkeypatch):
    """A BMC that lets us in and answers 5xx, as during POST, keeps one session of ours, however often it is asked."""
    bmc, held = lab.record(), lab.bmcs[0].sessions
    monkeypatch.setattr(lab.bmcs[0].machine, "power_state", _busy)
    for op in (power.observe, power.on):
        with pytest.raises(BmcUnreachableError, match=r"HTTP 503.*in POST") as caught:
            op(bmc)
        assert caught.value.detail["status"] == 503
        assert len(held) == 1
    monkeypatch.undo()
    assert power.observe(bmc) == "off"
    monkeypatch.setattr(lab.bmcs[0].machine, "power_state", _busy)
    with pytest.raises(BmcUnreachableError):
        power.observe(bmc)
    assert lab.bmcs[0]._number == 1, "a kept session is not made anew"


def test_a_login_that_is_only_tried_is_given_back_whatever_comes_then(lab, power, monkeypatch):
    """The search for factory passwords leaves no session, though the BMC answers 5xx."""
    lab.bmcs[0].password = "password"
    monkeypatch.setattr(lab.bmcs[0].machine, "power_state", _busy)
    with pytest.raises(BmcUnreachableError):
        power.default_logins(lab.record())
    assert (lab.bmcs[0]._number, len(lab.bmcs[0].sessions)) == (1, 0)


def test_an_answer_that_our_client_cannot_read_costs_no_session(lab, power, monkeypatch):
    """However odd it is, it is an answer: the session is given back."""
    monkeypatch.setattr(type(lab.bmcs[0]), "sensors", lambda _: (10**400, 0.0, 0.0))
    with pytest.raises(BmcUnreachableError, match="OverflowError"):
        power.sensors(lab.record())
    assert (lab.bmcs[0]._number, len(lab.bmcs[0].sessions)) == (1, 0)


def test_a_session_is_given_back_to_a_service_that_ends_each_connection(lab):
    """On a new connection: the service keeps the session when the connection ends."""
    client = RedfishClient(
        "127.0.0.1", lab.ports[0], "admin", PASSWORD, lab.front.certificate.sha256
    )
    client.http._hang_up()
    assert len(lab.bmcs[0].sessions) == 1
    client.close()
    assert len(lab.bmcs[0].sessions) == 0


def test_a_connection_that_the_bmc_ended_is_made_anew(lab):
    """Even before an action: what arrives on an idle connection is its end."""
    client = RedfishClient(
        "127.0.0.1", lab.ports[0], "admin", PASSWORD, lab.front.certificate.sha256
    )
    try:
        client.observe()
        client.http._http.sock.shutdown(socket.SHUT_RDWR)
        client.power("on")
        assert lab.bmcs[0].machine.calls == ["on"]
        assert client.http.connections == 2
    finally:
        client.close()


def test_an_authority_of_the_secrets_file_is_trusted(lab, power):
    """``ca_file`` instead of a pin; a file without an authority trusts nobody."""
    assert power.observe(lab.record(secret="file:authority")) == "off"
    with pytest.raises(BmcRefusedError, match="ca_file"):
        power.observe(lab.record(secret="file:no-authority"))


def test_a_bmc_whose_sessions_are_taken_is_busy_and_not_refusing(lab, power):
    """It may pass: nobody's password is doubted."""
    lab.bmcs[0].fate.refuse_sessions = True
    with pytest.raises(BmcUnreachableError, match="all sessions of the BMC are taken"):
        power.observe(lab.record())
