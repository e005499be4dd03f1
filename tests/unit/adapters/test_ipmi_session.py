from __future__ import annotations

import socket
import threading

import pytest

from racksalt.adapters import ipmi_session
from racksalt.adapters.ipmi_session import IpmiClient
from racksalt.lab.bmc import LabBmc
from racksalt.lab.bmc_session import OPERATOR
from racksalt.model.errors import BmcRefusedError, BmcUnreachableError
from tests.support.bmc_rig import PASSWORD, rig


@pytest.fixture(name="bmcs")
def bmcs_fixture(tmp_path, monkeypatch):
    """Virtual BMCs on demand, and a client with little patience."""
    monkeypatch.setattr(ipmi_session, "REPEAT_WAITS_S", (0.3, 0.3))
    monkeypatch.setattr(ipmi_session, "ONCE_WAITS_S", (0.5,))
    with rig(tmp_path) as made:
        yield made


def _client(bmc: LabBmc, username="admin", password=PASSWORD) -> IpmiClient:
    return IpmiClient(bmc.host, bmc.port, username, password)


class Chatty(LabBmc):
    """Sends junk before and after every answer."""

    JUNK = (b"", b"\x06", b"\x06\x00\xff\x07", b"\x06\x00\xff\x07\x06", bytes(40), b"\xff" * 90)

    def _answer(self, data, addr):
        for junk in self.JUNK:
            self._transport.sendto(junk, addr)
        super()._answer(data, addr)
        for junk in self.JUNK:
            self._transport.sendto(junk + b"\x07" * 30, addr)


class Lossy(LabBmc):
    """Loses the first packet of each kind on its way in or out, and nothing else."""

    lose_answers = False

    def handle(self, packet, peer):
        """Take a packet, unless its length is seen for the first time."""
        seen = self.__dict__.setdefault("seen", set())
        if len(packet) not in seen:
            seen.add(len(packet))
            if self.lose_answers:
                super().handle(packet, peer)
            return None
        return super().handle(packet, peer)


class LosesAnswers(Lossy):
    """Carries out what it does not answer."""

    lose_answers = True


def test_an_account_for_operators_is_enough(bmcs):
    """No more privilege is asked for than power and boot device need."""
    [one] = bmcs.add(privilege=OPERATOR)
    client = _client(one)
    client.boot_next("network", uefi=True)
    client.power("on")
    assert client.observe() == "on"
    client.close()


def test_junk_between_answers_is_ignored(bmcs):
    """Whatever else arrives on the port, the session goes on."""
    [one] = bmcs.add(kind=Chatty)
    client = _client(one)
    client.power("on")
    assert [client.observe() for _ in range(5)] == ["on"] * 5
    client.close()


@pytest.mark.parametrize("kind", [Lossy, LosesAnswers])
def test_lost_packets_are_sent_again_where_that_is_harmless(bmcs, kind):
    """Handshake, looks and boot choice survive a loss at every step, of the request or of the answer."""
    [one] = bmcs.add(kind=kind)
    client = _client(one)
    assert client.observe() == "off"
    client.boot_next("disk", uefi=False)
    assert one.machine.boot == ("disk", False)
    client.close()


def test_a_power_action_is_transmitted_once(bmcs):
    """One packet, one wait, and then the caller must look."""
    [one] = bmcs.add()
    client = _client(one)
    taken = one.counts["taken"]
    one.handle = lambda packet, peer: one.counts.update(taken=1)
    with pytest.raises(BmcUnreachableError, match="no answer"):
        client.power("off")
    assert one.counts["taken"] == taken + 1
    client.close()


def test_what_is_too_long_for_ipmi_is_refused_before_it_is_sent(bmcs):
    """17 bytes of name or 21 of password; neither is quoted."""
    [one] = bmcs.add()
    for name, password in (("a" * 17, "x"), ("admin", "p" * 21)):
        with pytest.raises(BmcRefusedError, match="longer than IPMI allows") as caught:
            _client(one, name, password)
        assert "ppp" not in str(caught.value)
    assert one.counts["taken"] == 0


def test_a_bmc_without_a_free_session_is_not_a_refusal(bmcs):
    """It may have one later: unreachable, not refused."""
    [one] = bmcs.add()
    clients = [_client(one) for _ in range(16)]
    with pytest.raises(BmcUnreachableError, match="sessions of the BMC are taken"):
        _client(one)
    for client in clients:
        client.close()


def test_a_bmc_that_is_busy_is_not_a_refusal(bmcs, monkeypatch):
    """Completion code C0h means later."""
    [one] = bmcs.add()
    client = _client(one)
    monkeypatch.setattr(one, "_carry_out", lambda *_: (0xC0, b""))
    with pytest.raises(BmcUnreachableError, match="busy"):
        client.observe()
    client.close()


def test_a_closed_session_is_free_on_the_bmc(bmcs):
    """Closing tells the BMC and leaves no socket."""
    [one] = bmcs.add()
    client = _client(one)
    descriptor = client._session.socket
    client.close()
    assert descriptor.fileno() == -1
    for _ in range(100):
        if not one.sessions.active(one._clock()):
            break
        threading.Event().wait(0.02)
    assert one.sessions.active(one._clock()) == []


def test_an_unknown_host_is_unreachable():
    """The name service's no is an answer of the network, not of a BMC."""
    with pytest.raises(BmcUnreachableError):
        IpmiClient("no-such-host.invalid", 623, "admin", "x")


def test_a_port_where_nobody_listens_is_unreachable(bmcs):
    """Silence, for as long as we wait."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(BmcUnreachableError, match="no answer"):
            IpmiClient("127.0.0.1", silent.getsockname()[1], "admin", "x")
