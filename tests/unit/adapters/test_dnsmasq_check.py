"""The real dnsmasq itself says whether it can read generated lines."""

from __future__ import annotations

import pytest

from racksalt.adapters.dhcp_child import program
from racksalt.adapters.dhcp_files import Folder
from racksalt.adapters.dnsmasq_check import Checker
from racksalt.model.errors import DhcpError
from tests.support.needs import need


@pytest.fixture
def checker(tmp_path):
    """A checker over the real dnsmasq."""
    need("dnsmasq")
    folder = Folder(tmp_path)
    folder.open()
    yield Checker(program("dnsmasq", "dnsmasq-base"), folder)
    folder.close()


GOOD = {
    "hosts.d/n1": "52:54:00:00:00:01,set:n-n1,10.0.0.20,[fd00::20],n1\n",
    "options.d/n1": "tag:n-n1,224,6e:31\n",
    "names.d/n1": "this is no configuration\n",
}


def test_good_files_are_not_refused(checker):
    """Names have a form that dnsmasq does not test."""
    assert checker.refused("port=0\n", GOOD) == {}


def test_a_node_whose_line_cannot_be_read_is_found(checker):
    """By the number of the line; the others are not touched by it."""
    files = {
        **GOOD,
        "hosts.d/n2": "52:54:00:00:00:02,[fd00::zz]\n",
        "options.d/n3": "tag:n-n3,option:no-such-option,1\n",
    }
    assert set(checker.refused("# one\nport=0\n", files)) == {"n2", "n3"}


def test_a_main_file_that_cannot_be_read_is_an_error(checker):
    """Which says what dnsmasq said."""
    with pytest.raises(DhcpError, match="no-such-setting"):
        checker.refused("no-such-setting\n", GOOD)
