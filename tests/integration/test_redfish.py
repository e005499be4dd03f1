"""Independent programs agree: others' Redfish clients drive the lab's BMCs, and ours drives others' services."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redfish

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.redfish import RedfishPower
from racksalt.lab.processes import answers, free_ports
from racksalt.lab.redfish_tls import lab_certificate
from racksalt.model.errors import BmcRefusedError
from racksalt.model.node import Bmc
from tests.support.redfish_rig import PASSWORD, redfish_rig
from tests.support.waiting import wait_for

SYSTEM = "/redfish/v1/Systems/1"
UUID = "3b0b2f6c-33d1-4a0f-9d3a-222222222222"


@pytest.fixture(name="lab")
def lab_fixture(tmp_path):
    """One Redfish BMC of the lab."""
    with redfish_rig(tmp_path) as made:
        yield made


@contextmanager
def dmtf(lab, password=PASSWORD):
    """Log in with the client library of the DMTF, which trusts the lab's certificate as an authority."""
    client = redfish.redfish_client(
        base_url=f"https://127.0.0.1:{lab.ports[0]}",
        username="admin",
        password=password,
        cafile=str(lab.front.certificate.file),
    )
    client.login(auth=redfish.AuthMethod.SESSION)
    try:
        yield client
    finally:
        client.logout()


def test_the_client_of_the_dmtf_drives_the_labs_bmc(lab):
    """Sessions, power, boot override and settings, as the makers of the standard understand them."""
    bmc = lab.bmcs[0]
    with dmtf(lab) as client:
        assert len(bmc.sessions) == 1
        assert client.get(SYSTEM).dict["PowerState"] == "Off"
        reset = client.get(SYSTEM).dict["Actions"]["#ComputerSystem.Reset"]["target"]
        assert client.post(reset, body={"ResetType": "On"}).status == 204
        assert client.get(SYSTEM).dict["PowerState"] == "On"
        boot = {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}
        assert client.patch(SYSTEM, body={"Boot": boot}).status == 200
        assert bmc.machine.boot == ("network", False)
        settings = client.get(f"{SYSTEM}/Bios").dict["@Redfish.Settings"]["SettingsObject"]
        wanted = {"Attributes": {"SecureBoot": "Enabled"}}
        assert client.patch(settings["@odata.id"], body=wanted).status == 200
        assert client.post(reset, body={"ResetType": "ForceRestart"}).status == 204
        assert client.get(f"{SYSTEM}/Bios").dict["Attributes"]["SecureBoot"] == "Enabled"
        assert client.post(reset, body={"ResetType": "Explode"}).status == 400
        assert client.get("/redfish/v1/Systems/9").status == 404
    assert len(bmc.sessions) == 0
    assert bmc.machine.calls == ["on", "cycle"]


def test_every_link_of_the_labs_service_leads_somewhere(lab):
    """A client that walks from the root by ``@odata.id`` finds a resource behind each, with type and name."""
    with dmtf(lab) as client:
        seen, left = set(), ["/redfish/v1/"]
        while left:
            path = left.pop()
            if path in seen:
                continue
            seen.add(path)
            answer = client.get(path)
            assert answer.status == 200, path
            assert {"@odata.type", "Id", "Name"} <= set(answer.dict), path
            left += _links(answer.dict)
    assert {f"{SYSTEM}/Bios/Settings", "/redfish/v1/Chassis/1/Thermal"} <= seen


def _links(content):
    if isinstance(content, dict):
        own = [content["@odata.id"]] if set(content) == {"@odata.id"} else []
        return own + [link for one in content.values() for link in _links(one)]
    if isinstance(content, list):
        return [link for one in content for link in _links(one)]
    return []


def test_a_stranger_gets_nothing_from_the_labs_service(lab):
    """Without a session there is the root, and a refusal with the registry's message for all else."""
    client = redfish.redfish_client(
        base_url=f"https://127.0.0.1:{lab.ports[0]}", cafile=str(lab.front.certificate.file)
    )
    assert client.get("/redfish/v1/").status == 200
    for path in (SYSTEM, f"{SYSTEM}/Bios", "/redfish/v1/UpdateService", "/redfish/v1/Chassis"):
        answer = client.get(path)
        assert answer.status == 401
        assert "NoValidSession" in answer.text
    with pytest.raises(redfish.rest.v1.InvalidCredentialsError), dmtf(lab, "battery-staple"):
        pass


def test_fifty_bmcs_in_one_sweep(tmp_path):
    """Every answer is right, and a session serves more than one sweep unless its worker was busy for long."""
    with redfish_rig(tmp_path, 50) as lab:
        for bmc in lab.bmcs[::3]:
            bmc.machine.power_on()
        power = RedfishPower(lab.secrets)
        try:
            with ThreadPoolExecutor(16) as threads:
                for _ in range(2):
                    seen = list(threads.map(power.observe, map(lab.record, range(50))))
                    assert seen == [bmc.machine.power for bmc in lab.bmcs]
            assert sum(bmc._number for bmc in lab.bmcs) < 75
        finally:
            power.close()


@pytest.fixture(name="emulator")
def emulator_fixture(tmp_path):
    """The fake system of sushy-tools, over TLS with a pinned certificate; gives port and secrets."""
    certificate = lab_certificate(tmp_path)
    [port] = free_ports(1)
    (tmp_path / "auth").write_text("")
    fake = [{"uuid": UUID, "name": "n1", "power_state": "Off", "nics": []}]
    (tmp_path / "emulator.conf").write_text(
        f"SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n"
        f"SUSHY_EMULATOR_SSL_CERT = {str(certificate.file)!r}\n"
        f"SUSHY_EMULATOR_SSL_KEY = {str(certificate.key)!r}\n"
        f"SUSHY_EMULATOR_STATE_DIR = {str(tmp_path)!r}\n"
        f"SUSHY_EMULATOR_FAKE_SYSTEMS = {json.dumps(fake)}\n"
    )
    program = [sys.executable, "-c", "from sushy_tools.emulator.main import main; main()"]
    log = (tmp_path / "emulator.log").open("w")
    with (
        log,
        subprocess.Popen(
            [*program, "--config", str(tmp_path / "emulator.conf"), "--fake"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        ) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or answers("127.0.0.1", port), 60)
            assert process.poll() is None, (tmp_path / "emulator.log").read_text()
            secrets = tmp_path / "bmc.yaml"
            secrets.touch(0o600)
            secrets.write_text(f"a: {{password: p, certificate_sha256: {certificate.sha256}}}\n")
            yield port, BmcSecrets(secrets)
        finally:
            process.kill()


@pytest.mark.daemons
def test_our_client_drives_the_emulator_of_sushy_tools(emulator):
    """A service that is not ours: power, boot override, and an honest no where it has no BIOS attributes."""
    port, secrets = emulator
    bmc = Bmc(
        node="n1", protocol="redfish", address="127.0.0.1", port=port, username="u", secret="file:a"
    )
    power = RedfishPower(secrets)
    try:
        assert power.observe(bmc) == "off"
        power.boot_next(bmc, "network")
        power.on(bmc)
        # Its fake machines take a moment to switch, as real ones do.
        assert wait_for(lambda: power.observe(bmc) == "on", 20) is not None
        power.boot_next(bmc, "disk")
        power.off(bmc)
        assert wait_for(lambda: power.observe(bmc) == "off", 20) is not None
        with pytest.raises(BmcRefusedError):
            power.set_bios(bmc, {"NoSuchAttribute": 1})
    finally:
        power.close()


@pytest.mark.daemons
def test_an_idle_service_that_hangs_up_is_asked_again(emulator):
    """The emulator closes each connection after its answer: every request makes a new one, and none is lost."""
    port, secrets = emulator
    bmc = Bmc(
        node="n1", protocol="redfish", address="127.0.0.1", port=port, username="u", secret="file:a"
    )
    power = RedfishPower(secrets)
    try:
        for _ in range(5):
            assert power.observe(bmc) == "off"
            threading.Event().wait(0.05)
    finally:
        power.close()
