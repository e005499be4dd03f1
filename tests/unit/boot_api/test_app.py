"""The application as a whole."""

from __future__ import annotations

import pytest

from tests.support.boot_site import a_site


@pytest.fixture
def site(tmp_path):
    """Give an empty site."""
    with a_site(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/v1/boot/script", 405),
        ("GET", "/v1/nodes/n1/reports", 405),
        ("GET", "/v1/nodes", 404),
    ],
)
def test_what_does_not_exist_is_told_as_json(site, method, path, status):
    """Unknown paths and methods are refused in the same form as everything else."""
    answer = site.client().request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message", "hint"}


def test_a_defect_tells_nothing_of_itself(site, monkeypatch):
    """An unexpected error is a bare 500; its cause is in the log only."""

    async def broken(_key):
        raise ZeroDivisionError("secret cause")

    monkeypatch.setattr(site.context.views, "get", broken)
    answer = site.client().get("/v1/nodes/n1/parameters")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret cause" not in answer.text
