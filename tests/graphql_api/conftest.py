"""One started application per test module: starting takes a moment, and most tests only read."""

from __future__ import annotations

import pytest

from tests.graphql_api.rig import running


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A started application over a small site."""
    with running(tmp_path_factory.mktemp("graphql")) as made:
        yield made


@pytest.fixture
def fresh(tmp_path):
    """A started application of this test's own, to be changed at will."""
    with running(tmp_path) as made:
        yield made
