"""Identity of a machine: a score over UUID, serial and MACs."""

from __future__ import annotations

import pytest

from racksalt.boot.identity import (
    Known,
    claim,
    decide,
    normalise_mac,
    normalise_serial,
    normalise_uuid,
    same_serial,
    same_uuid,
    score,
    swapped,
)
from racksalt.model.errors import InvalidInputError

MAC, NEW_MAC = "52:54:00:00:00:01", "52:54:00:00:00:99"
UUID = "4c4c4544-0051-3010-8057-b7c04f4d3533"
OTHER_UUID = "4c4c4544-0051-3010-8057-b7c04f4d3534"
N1 = Known(node="n1", macs=frozenset({MAC, "52:54:00:00:00:02"}), uuid=UUID, serial="SN1")


@pytest.mark.parametrize(
    ("known", "claimed", "kind"),
    [
        # the machine itself, with all or some of its marks
        (N1, claim(MAC, UUID, "SN1"), "match"),
        (N1, claim(MAC, swapped(UUID), "SN1"), "match"),
        (N1, claim(MAC, UUID, "Default string"), "match"),
        (N1, claim(MAC, "", "SN1"), "match"),
        # a node of which nothing else is known
        (Known(node="n1", macs=frozenset({MAC})), claim(MAC), "match"),
        (Known(node="n1", macs=frozenset({MAC})), claim(MAC, UUID, "SN1"), "match"),
        # somebody who has seen the MAC on the wire, and nothing else
        (N1, claim(MAC), "conflict"),
        (N1, claim(MAC, "0" * 36, "Default string"), "conflict"),
        (Known(node="n1", macs=frozenset({MAC}), serial="SN1"), claim(MAC), "conflict"),
        (Known(node="n1", macs=frozenset({MAC}), serial="SN1"), claim(MAC, UUID), "conflict"),
        (Known(node="n1", macs=frozenset({MAC}), uuid=UUID), claim(MAC, "", "SN1"), "conflict"),
        # a replaced NIC
        (N1, claim(NEW_MAC, UUID, "SN1"), "match"),
        # an imposter, or parts swapped between machines
        (N1, claim(MAC, OTHER_UUID, "SN1"), "conflict"),
        (N1, claim(MAC, UUID, "SN2"), "conflict"),
        (N1, claim(MAC, OTHER_UUID, "SN2"), "conflict"),
        (N1, claim(NEW_MAC, OTHER_UUID, "SN1"), "conflict"),
        # one UUID on two machines: told apart by serial, else parked
        (N1, claim(NEW_MAC, UUID, "SN2"), "unknown"),
        (N1, claim(NEW_MAC, UUID, "None"), "conflict"),
        # too little to go by
        (N1, claim(NEW_MAC, "", "SN1"), "conflict"),
        (N1, claim(NEW_MAC, OTHER_UUID, "SN2"), "unknown"),
        (N1, claim(NEW_MAC), "unknown"),
        # a manifest that lists expected serials or UUIDs, before the first boot
        (Known(node="n1", serial="SN1"), claim(MAC, UUID, "sn1"), "match"),
        (Known(node="n1", uuid=UUID), claim(MAC, UUID, ""), "match"),
        (Known(node="n1", uuid=UUID, serial="SN1"), claim(MAC, UUID, "SN2"), "conflict"),
    ],
)
def test_agreement_and_contradiction_decide_together(known, claimed, kind):
    """No mark alone makes or unmakes a machine."""
    assert score(known, claimed).kind == kind


def test_the_verdict_says_why():
    """Each mark that agrees or contradicts has its sentence."""
    verdict = score(N1, claim(MAC, OTHER_UUID, "SN1"))
    assert verdict.node == "n1"
    assert verdict.reasons == (
        f"MAC {MAC} is one of n1",
        f"system UUID is {OTHER_UUID}, but n1 has {UUID}",
        "serial number SN1 is that of n1",
    )


def test_two_nodes_with_one_uuid_are_told_apart():
    """Where serials or MACs differ, the right one of two nodes with one UUID is found."""
    twin = Known(node="n2", macs=frozenset({"52:54:00:00:00:11"}), uuid=UUID, serial="SN2")
    assert decide([twin, N1], claim(MAC, UUID, "SN1")).node == "n1"
    assert decide([N1, twin], claim("52:54:00:00:00:11", UUID, "")).node == "n2"


def test_two_nodes_with_one_uuid_that_nothing_tells_apart_are_parked():
    """Where nothing tells two nodes with one UUID apart, nobody guesses."""
    pair = [Known(node="n1", uuid=UUID), Known(node="n2", uuid=UUID)]
    verdict = decide(pair, claim(NEW_MAC, UUID))
    assert verdict.kind == "conflict"
    assert any("n1" in reason for reason in verdict.reasons)
    assert any("n2" in reason for reason in verdict.reasons)


def test_the_owner_of_the_mac_has_a_veto():
    """A NIC that moved into another known machine is a case for a person."""
    n2 = Known(node="n2", macs=frozenset({"52:54:00:00:00:11"}), uuid=OTHER_UUID, serial="SN2")
    verdict = decide([n2, N1], claim(MAC, OTHER_UUID, "SN2"))
    assert (verdict.kind, verdict.node) == ("conflict", "n1")


def test_a_ghost_with_the_marks_of_a_node_does_not_lock_it_out():
    """Who reports another's UUID and serial number is the one in doubt, not the owner of the MAC."""
    ghost_mac = "52:54:00:00:00:66"
    ghost = Known(node="ghost", macs=frozenset({ghost_mac}), uuid=UUID, serial="SN1")
    bare = Known(node="n1", macs=frozenset({MAC}))
    for victim in (N1, bare):
        for candidates in ([ghost, victim], [victim, ghost]):
            verdict = decide(candidates, claim(MAC, UUID, "SN1"))
            assert (verdict.kind, verdict.node) == ("match", "n1")
    assert decide([ghost, N1], claim(ghost_mac, UUID, "SN1")).node == "ghost"
    assert decide([ghost, N1], claim(NEW_MAC, UUID, "SN1")).kind == "conflict"


def test_what_is_not_told_is_a_reason():
    """Where the MAC alone agrees, the verdict says what is missing, without showing what is kept."""
    verdict = score(N1, claim(MAC))
    assert "system UUID is not told, but n1 has one" in verdict.reasons
    assert UUID not in " ".join(verdict.reasons)


def test_without_candidates_a_machine_is_unknown():
    """Nobody known means a new machine."""
    assert decide([], claim(MAC, UUID, "SN1")).kind == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "52:54:00:AB:cd:01",
        "52-54-00-ab-cd-01",
        "525400abcd01",
        "01-52-54-00-ab-cd-01",
        " 525400abcd01 ",
    ],
)
def test_every_spelling_of_a_mac_is_taken(text):
    """Colons, hyphens, neither, and a leading hardware type give one form."""
    assert normalise_mac(text) == "52:54:00:ab:cd:01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xx",
        "52:54:00:ab:cd",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
        "5" * 99,
    ],
)
def test_what_no_interface_can_own_is_refused(text):
    """Malformed, zero and group addresses are no identity."""
    with pytest.raises(InvalidInputError):
        normalise_mac(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "Not Settable",
        "${uuid}",
    ],
)
def test_a_uuid_that_tells_nothing_is_ignored(text):
    """Empty, constant and factory UUIDs neither agree nor contradict."""
    assert normalise_uuid(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "To be filled by O.E.M.",
        "DEFAULT STRING",
        "0000000",
        "xxxx",
        "N/A",
        "To-Be-Filled-By-OEM",
        "00-00-00",
        "-_.",
        "12",
        "\x00\x01",
        "é",
    ],
)
def test_a_serial_that_tells_nothing_is_ignored(text):
    """Blank, constant and factory serial numbers neither agree nor contradict."""
    assert normalise_serial(text) is None


def test_both_byte_orders_of_a_uuid_are_one_machine():
    """Firmware and kernel may spell the first three fields the other way round."""
    assert swapped(UUID) == "44454c4c-5100-1030-8057-b7c04f4d3533"
    assert same_uuid(UUID, swapped(UUID))
    assert not same_uuid(UUID, OTHER_UUID)


def test_a_serial_survives_what_firmware_and_ipxe_do_to_it():
    """Padding, case and a plus that became a space make no other serial number."""
    assert same_serial("AB+12-x", "ab 12-X ")
    assert not same_serial("AB12", "AB13")
    # What iPXE cut off at the ampersand cannot be compared.
    assert (
        score(
            Known(node="n1", macs=frozenset({MAC}), serial=normalise_serial("SN 1&x")),
            claim(MAC, "", "SN 1"),
        ).kind
        == "match"
    )
