"""Fixtures: a fresh, migrated database per test, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import os
import shutil

import pytest

from racksalt.store import Store
from racksalt.store.tables import metadata
from tests.support.postgresql import NoPostgresqlError, a_server

KINDS = ("sqlite", "postgresql")
TABLES = ", ".join(metadata.tables)


@pytest.fixture(scope="session")
def postgresql():
    """A running PostgreSQL server; without its binaries the test is skipped, on CI it fails."""
    try:
        with a_server() as server:
            yield server
    except NoPostgresqlError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL cannot be tested: {error}")
        pytest.skip(f"PostgreSQL cannot be tested: {error}")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A migrated, empty SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql):
    """The name of a migrated, empty PostgreSQL database, to be copied."""
    name = postgresql.create()
    Store(postgresql.url(name)).close()
    return name


@pytest.fixture(scope="session")
def postgresql_shared(postgresql, postgresql_template):
    """The name of a migrated PostgreSQL database that each test leaves empty."""
    return postgresql.create(postgresql_template)


@pytest.fixture(params=KINDS)
def own_url(request, tmp_path):
    """The address of a migrated, empty database whose tables the test may change."""
    if request.param == "sqlite":
        yield f"sqlite:///{_copied(request, tmp_path)}"
        return
    server = request.getfixturevalue("postgresql")
    name = server.create(request.getfixturevalue("postgresql_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=KINDS)
def empty_url(request, tmp_path):
    """The address of an empty database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server = request.getfixturevalue("postgresql")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=KINDS)
def database_url(request, tmp_path):
    """The address of a migrated, empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{_copied(request, tmp_path)}"
        return
    server = request.getfixturevalue("postgresql")
    name = request.getfixturevalue("postgresql_shared")
    yield server.url(name)
    server.empty(name, TABLES)


@pytest.fixture
def store(database_url):
    """An open store over a migrated, empty database; the test runs once on each kind."""
    found = Store(database_url)
    yield found
    found.close()


@pytest.fixture
def postgresql_store(postgresql, postgresql_shared):
    """An open store over PostgreSQL alone, for what only it does."""
    found = Store(postgresql.url(postgresql_shared))
    yield found
    found.close()
    postgresql.empty(postgresql_shared, TABLES)


@pytest.fixture
def sqlite_store(request, tmp_path):
    """An open store over SQLite alone, for what does not depend on the database."""
    found = Store(f"sqlite:///{_copied(request, tmp_path)}")
    yield found
    found.close()


def _copied(request, folder):
    path = folder / "racksalt.db"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    return path
