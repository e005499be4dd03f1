from __future__ import annotations

from pathlib import Path

import pytest

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.redfish import RedfishPower
from racksalt.model.errors import BmcRefusedError, BmcSuspendedError, BmcUnreachableError
from racksalt.model.node import Bmc
from tests.support.redfish_service import SESSIONS, SYSTEM, RedfishService, serve

PASSWORD = "correct-horse"
RESET = f"POST {SYSTEM}/Actions/ComputerSystem.Reset"


@pytest.fixture(name="service")
def service_fixture(tmp_path):
    """A Redfish service over TLS with a self-signed certificate."""
    with serve(RedfishService(PASSWORD), tmp_path) as running:
        yield running


@pytest.fixture(name="power")
def power_fixture(service, tmp_path):
    """The adapter, with secrets that pin the certificate, pin another, or pin none."""
    path = tmp_path / "secrets.yaml"
    path.write_text(
        f"right: {{password: {PASSWORD}, certificate_sha256: {service.certificate_sha256}}}\n"
        f"wrong: {{password: battery-staple, certificate_sha256: {service.certificate_sha256}}}\n"
        f"other: {{password: {PASSWORD}, certificate_sha256: {'ab' * 32}}}\n"
        f"unpinned: {PASSWORD}\n"
    )
    path.chmod(0o600)
    adapter = RedfishPower(BmcSecrets(path))
    yield adapter
    adapter.close()


def _record(service: RedfishService, secret: str = "file:right") -> Bmc:
    return Bmc(
        node="n1",
        protocol="redfish",
        address="127.0.0.1",
        port=service.port,
        username="admin",
        secret=secret,
    )


def test_the_power_port_does_what_it_says(service, power):
    """Look, choose, switch on and off, in one session."""
    bmc = _record(service)
    assert power.observe(bmc) == "off"
    power.boot_next(bmc, "network")
    assert service.boot == {
        "BootSourceOverrideEnabled": "Once",
        "BootSourceOverrideTarget": "Pxe",
        "BootSourceOverrideMode": "UEFI",
    }
    power.on(bmc)
    power.on(bmc)
    assert power.observe(bmc) == "on"
    power.boot_next(bmc, "disk")
    assert service.boot["BootSourceOverrideTarget"] == "Hdd"
    power.off(bmc)
    assert power.observe(bmc) == "off"
    assert service.requests.count(RESET) == 2
    assert len(service.tokens) == 1


@pytest.mark.parametrize(("state", "seen"), [("PoweringOn", "on"), ("PoweringOff", "on")])
def test_between_on_and_off_counts_as_on(service, power, state, seen):
    """Only a machine that is off is off."""
    service.power = state
    assert power.observe(_record(service)) == seen


def test_a_service_without_sessions_is_used_with_basic_authentication(tmp_path, service, power):
    """SessionService is optional."""
    service.with_sessions = False
    assert power.observe(_record(service)) == "off"
    assert service.tokens == {}


def test_a_session_that_the_bmc_forgot_is_opened_again(service, power):
    """A request without a valid session is refused before it has an effect, so even an action may follow."""
    bmc = _record(service)
    power.observe(bmc)
    service.tokens.clear()
    power.on(bmc)
    assert service.power == "On"
    assert service.requests.count(RESET) == 1


@pytest.mark.parametrize("secret", ["file:other", "file:unpinned"])
def test_an_unknown_certificate_gets_no_password(service, power, secret):
    """Neither a wrong pin nor a certificate that nobody signed is trusted; the fault is named."""
    with pytest.raises(BmcRefusedError, match="certificate is not trusted"):
        power.observe(_record(service, secret))
    assert service.requests == []
    assert service.tokens == {}


def test_a_certificate_that_the_system_trusts_needs_no_pin(service, power, monkeypatch):
    """``SSL_CERT_FILE`` names the authorities, as for any program that uses OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(service.certificate))
    assert power.observe(_record(service, "file:unpinned")) == "off"


def test_a_wrong_password_is_refused_and_soon_not_even_tried(service, power):
    """As over IPMI: three refusals open the circuit; the password is never shown."""
    bmc = _record(service, "file:wrong")
    for _ in range(3):
        with pytest.raises(BmcRefusedError, match="HTTP 401") as caught:
            power.observe(bmc)
        assert "battery-staple" not in f"{caught.value} {caught.value.detail}"
    with pytest.raises(BmcSuspendedError):
        power.observe(bmc)


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, BmcUnreachableError), (503, BmcUnreachableError), (400, BmcRefusedError)],
)
def test_http_statuses_are_told_apart(service, power, status, error):
    """A server's fault may pass, a refusal will not."""
    bmc = _record(service)
    power.observe(bmc)
    service.failing = status
    with pytest.raises(error, match=f"HTTP {status}"):
        power.observe(bmc)


def test_an_action_without_an_answer_is_sent_once(service, tmp_path, power):
    """The caller is told to observe before it repeats."""
    bmc = _record(service)
    power.observe(bmc)
    service.delay_s = 1.5
    power.__class__ = type("Hasty", (RedfishPower,), {"budget_s": 2.0})
    with pytest.raises(BmcUnreachableError, match="observe before repeating"):
        power.on(bmc)
    assert service.requests.count(RESET) == 1


def test_nobody_there_is_unreachable(service, power):
    """A closed port says so at once."""
    bmc = Bmc(
        node="n1",
        protocol="redfish",
        address="127.0.0.1",
        port=1,
        username="a",
        secret="file:right",
    )
    with pytest.raises(BmcUnreachableError, match="Connection refused"):
        power.observe(bmc)


def test_a_closed_adapter_deletes_its_session(service, power):
    """BMCs have few sessions: they are given back."""
    power.observe(_record(service))
    pids = power._pool.pids()
    power.close()
    assert service.tokens == {}
    assert f"DELETE {SESSIONS}/1" in service.requests
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
