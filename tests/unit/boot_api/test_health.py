"""What a load balancer is told."""

from __future__ import annotations

import pytest

from racksalt.boot_api import health
from tests.support.boot_site import a_site
from tests.support.waiting import wait_for


@pytest.fixture
def site(tmp_path):
    """Give an empty site."""
    with a_site(tmp_path) as found:
        yield found


def test_health_tells_the_newest_journal_number(site):
    """Healthy means that the database answers."""
    assert site.client().get("/healthz").json() == {"status": "ok", "head": 0}


def test_health_fails_with_the_database(site, tmp_path):
    """Without a database the answer is 503, so that a supervisor sees it."""
    site.store.engine.dispose()
    for file in tmp_path.iterdir():
        file.write_bytes(b"not a database" * 1000)
    answer = site.client().get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_error")
    assert answer.headers["Retry-After"]
    assert "racksalt.db" not in answer.text
    assert "not a database" not in answer.text, "what the driver says is for the log"


def test_health_fails_when_nothing_can_be_written(site, monkeypatch):
    """The database answers who reads, and no boot can be journalled: asked again, it is looked at once more."""
    monkeypatch.setattr(health, "PATIENCE_S", 0.2)
    client = site.client()
    assert client.get("/healthz").status_code == 200
    with site.store.engine.connect().execution_options(racksalt_write=True) as other:
        other.begin()
        assert client.get("/healthz").status_code == 200, (
            "strangers make no more than a look a second"
        )
        site.now += 2 * health.LOOK_S
        assert site.store.head() == 0
        assert client.get("/healthz").status_code == 503
        assert client.get("/healthz").status_code == 503, "who asks meanwhile shares the look"
    site.now += 2 * health.LOOK_S
    assert wait_for(lambda: client.get("/healthz").status_code == 200, 5) is not None
