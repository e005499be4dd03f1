"""One door per library: who may import what; .importlinter holds our own layers."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch

import pytest

from tests.support import source

# Library -> the only files that may import it.
DOORS: dict[str, tuple[str, ...]] = {
    "salt": ("racksalt/adapters/salt_*.py", "racksalt/lab/*.py", "salt/_*/*.py"),
    "pyghmi": ("racksalt/adapters/ipmi*.py",),
    "napalm": ("racksalt/adapters/switch_napalm.py",),
    "netaddr": ("racksalt/network/*.py", "racksalt/model/*.py"),
    "sqlalchemy": ("racksalt/store/*.py",),
    "alembic": ("racksalt/store/*.py",),
    "psycopg": ("racksalt/store/*.py", "racksalt/adapters/kea_hosts.py"),
    "cryptography": (
        "racksalt/images/signing.py",
        "racksalt/adapters/erase_seal.py",
        "racksalt/lab/*.py",
    ),
    "yaml": ("racksalt/adapters/site_files.py", "racksalt/adapters/settings_file.py"),
    "strawberry": ("graphql_api/*.py",),
    "graphql": ("graphql_api/*.py",),
    "starlette": ("graphql_api/*.py", "racksalt/boot_api/*.py", "racksalt/lab/redfish*.py"),
    "uvicorn": (
        "graphql_api/*.py",
        "racksalt/boot_api/*.py",
        "racksalt/serve.py",
        "racksalt/lab/redfish*.py",
    ),
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


# Import name of a distribution, where it is not the distribution's name in lower case.
IMPORTED_AS = {
    "PyYAML": "yaml",
    "SQLAlchemy": "sqlalchemy",
    "strawberry-graphql": "strawberry",
    "graphql-core": "graphql",
    "typing-extensions": "typing_extensions",
}
INDIRECT: dict[str, str] = {}
"""Distribution -> why it is declared though nothing imports it."""


OPTIONAL = {"napalm": "the extra of the same name, imported when a site has vendors' switches"}

EXTRAS = {"psycopg": "of the extra `postgresql`: only sites with Kea import it"}


def _declared() -> dict[str, str]:
    """Import name -> distribution, for the run-time dependencies in pyproject.toml."""
    block = source.text(source.Path("pyproject.toml")).split("\ndependencies = [", 1)[1]
    names = re.findall(r'^    "([A-Za-z0-9-]+)', block.split("\n]", 1)[0], re.MULTILINE)
    return {IMPORTED_AS.get(name, name): name for name in names}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """pyproject.toml lists exactly the packages that the code imports."""
    own = {"racksalt", "graphql_api"}
    imported = {
        name.split(".")[0]
        for path in source.under("racksalt", "graphql_api", suffix=".py")
        for _, name in source.imports(path)
    }
    foreign = imported - sys.stdlib_module_names - own - set(OPTIONAL)
    assert (foreign - set(EXTRAS)) | set(INDIRECT) == set(_declared())


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


def test_every_part_of_racksalt_has_its_layer():
    """A new module or package is put into the layers of .importlinter, or its imports go unchecked."""
    parts = {
        path.parts[1].removesuffix(".py") for path in source.under("racksalt", suffix=".py")
    } - {"__init__", "saltext"}
    layers = source.text(source.Path(".importlinter")).split("[importlinter:contract:core]")[0]
    assert parts <= set(re.findall(r"racksalt\.(\w+)", layers))
