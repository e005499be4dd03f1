"""What hosts are called."""

from __future__ import annotations

import pytest

from racksalt.model.names import is_host, is_name, one_spelling


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "a..b", "a b", "a,b", "a\n", "a\nb", "A", "a" * 64, "a_b", "x." * 130]
)
def test_what_is_no_host_name_is_refused(text):
    """Separators and line ends above all: names stand in configuration files."""
    assert not is_name(text)
    assert is_name("n1.z1.example.net")


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "fd00::1", "fe80::1%eth0", "bmc1", "BMC_1.example.net", "bmc1.x.", "10.x"]
)
def test_an_address_or_a_name_is_a_host(text):
    """Names elsewhere are not ours to spell: upper case and underscores may be."""
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "10.10.0.2566", "10.0.0", "10.0.0.1.", "010.0.0.1", "0x7f.0x1", "10.0.0.1/24"),
        *("a b", "a\n", "u@a", "a:443", "[fd00::1]", "fd00::zz", "fe80::1%x\ny"),
    ],
)
def test_a_slip_of_the_pen_in_an_address_is_no_host(text):
    """It would be looked up as a name, or read as another address."""
    assert not is_host(text)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("fd00:0:0::1", "fd00::1"),
        ("FD00::A", "fd00::a"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("BMC1.Example.net.", "bmc1.example.net"),
    ],
)
def test_all_spellings_of_a_host_are_one(text, other):
    """By it two are compared."""
    assert one_spelling(text) == one_spelling(other) == other
    assert one_spelling("fd00::1") != one_spelling("fd00::2")
