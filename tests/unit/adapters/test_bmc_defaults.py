"""The factory passwords that are tried."""

from __future__ import annotations

from collections import Counter

from racksalt.adapters.bmc_defaults import FACTORY_LOGINS


def test_no_name_is_tried_often_enough_to_be_locked():
    """At most two passwords for one user name, and no pair twice: BMCs lock accounts after three."""
    names = Counter(name for name, _ in FACTORY_LOGINS)
    assert max(names.values()) <= 2
    assert len(set(FACTORY_LOGINS)) == len(FACTORY_LOGINS)
