"""One door per library: who may import what; .importlinter holds our own layers."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.support import source

# Library -> the only files that may import it.
DOORS: dict[str, tuple[str, ...]] = {
    "salt": ("racksalt/adapters/salt_*.py", "racksalt/lab/*.py", "salt/_*/*.py"),
    "pyghmi": ("racksalt/adapters/ipmi*.py", "racksalt/adapters/redfish.py"),
    "netaddr": ("racksalt/network/*.py", "racksalt/model/*.py"),
    "sqlalchemy": ("racksalt/store/*.py",),
    "alembic": ("racksalt/store/*.py",),
    "psycopg": ("racksalt/store/*.py",),
    "yaml": ("racksalt/adapters/site_files.py", "racksalt/adapters/settings_file.py"),
    "strawberry": ("graphql_api/*.py",),
    "graphql": ("graphql_api/*.py",),
    "starlette": ("graphql_api/*.py", "racksalt/boot_api/*.py"),
    "uvicorn": ("graphql_api/*.py", "racksalt/boot_api/*.py", "racksalt/serve.py"),
    "typer": ("racksalt/cli*.py",),
    "rich": ("racksalt/cli*.py", "racksalt/watch.py", "racksalt/lab/demo*.py"),
}


def _strangers(library: str) -> list[str]:
    return [
        f"{path}:{line} imports {name}"
        for path in source.under("racksalt", "graphql_api", "salt", suffix=".py")
        for line, name in source.imports(path)
        if name.split(".")[0] == library
        and not any(fnmatch(str(path), pattern) for pattern in DOORS[library])
    ]


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_one_door(library):
    """Only the files that the table names import a library; all others ask them."""
    assert not _strangers(library)


@pytest.mark.parametrize("folder", ["model", "psm", "site", "network", "boot", "conductor"])
def test_the_core_reads_no_clock_and_no_environment(folder):
    """The core is handed the time and its settings, so that a test can choose them."""
    world = {"time", "datetime", "os", "socket", "subprocess", "random"}
    formatting = {"gmtime", "strftime"}  # of a time that is given
    found = [
        f"{path}:{node.lineno}"
        for path in source.under(f"racksalt/{folder}", suffix=".py")
        for node in source.ast.walk(source.tree(path))
        if (isinstance(node, source.ast.Import) and {alias.name for alias in node.names} & world)
        or (
            isinstance(node, source.ast.ImportFrom)
            and node.module in world
            and not {alias.name for alias in node.names} <= formatting
        )
    ]
    assert not found
