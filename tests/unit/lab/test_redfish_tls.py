from __future__ import annotations

from racksalt.lab.redfish_tls import lab_certificate


def test_a_certificate_is_made_once_and_its_key_is_private(tmp_path):
    """What was pinned stays right after a restart of the lab."""
    first, again = lab_certificate(tmp_path), lab_certificate(tmp_path)
    assert first == again
    assert len(first.sha256) == 64
    assert first.key.stat().st_mode & 0o077 == 0
