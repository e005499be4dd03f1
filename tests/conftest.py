"""What every test shares: the order (cheap ones first), Hypothesis profiles, no network beyond loopback."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.databases import (  # noqa: F401  fixtures for all
    database_url,
    empty_url,
    own_url,
    postgresql,
    postgresql_shared,
    postgresql_store,
    postgresql_template,
    sqlite_store,
    sqlite_template,
    store,
)
from tests.support.loopback import guard
from tests.support.needs import need

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("unit", "repo", "properties", "docs", "graphql_api", "functional", "integration")

# The machines that run this are small and shared: a slow example is not a wrong one.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _rank(item: pytest.Item) -> tuple[bool, int]:
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    return (
        item.get_closest_marker("daemons") is not None,
        ORDER.index(folder) if folder in ORDER else len(ORDER),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run unit tests first and what starts daemons last."""
    items.sort(key=_rank)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or on CI fail, where a program is missing that a test is marked to need.

    Only the end-to-end tests, whose machines are on bridges of this computer, may reach beyond loopback.
    """
    guard.on = item.get_closest_marker("e2e") is None
    for mark in item.iter_markers("needs"):
        need(*mark.args, **mark.kwargs)


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """The lab makes its files private for as long as its process lives; the next test is not the lab."""
    os.umask(0o022)
    yield
    os.umask(0o022)


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Fail a test that reached for another computer, whoever caught the exception."""
    yield
    refused, guard.refused = guard.refused, []
    assert not refused, f"this reached beyond loopback: {refused}"


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal gives it: a job in the background ignores it, and so would all that it starts."""
    guard.install()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Keep Salt's deferred log handler quiet: at exit it writes to a stream that pytest has closed."""
    guard.on = False
    logging.raiseExceptions = False


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout under test."""
    return ROOT
