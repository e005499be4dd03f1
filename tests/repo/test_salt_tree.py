"""The folder salt/: thin, safe to have at the top of the repository, and legible from Salt."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from tests.support import source

LOADER_FUNCTION = 15
# These run on nodes, which get only what Salt syncs to them.
NODE_SIDE = ("salt/_modules", "salt/_states", "salt/_grains", "salt/_utils")
LOADERS = sorted(
    path for path in source.under("salt", suffix=".py") if path.parts[1].startswith("_")
)
CALLABLE = [path for path in LOADERS if path.parts[1] in {"_modules", "_runners"}]


def test_the_salt_folder_never_hides_the_salt_package():
    """No ``__init__.py`` and no ``salt.py``: either would be imported in place of Salt itself."""
    offenders = [path for path in source.under("salt") if path.name == "__init__.py"]
    assert not offenders
    assert Path("salt.py") not in source.files()
    assert importlib.import_module("salt.version").__version__ is not None


def test_there_are_loader_files_to_check():
    """The checks below look at something."""
    assert {path.parts[1] for path in LOADERS} >= {"_modules", "_states", "_runners", "_engines"}


@pytest.mark.parametrize("path", LOADERS, ids=str)
def test_names_that_salt_sees_begin_with_racksalt(path):
    """File name and virtual name begin with racksalt, so nothing of ours meets anything of Salt's."""
    assert path.stem.startswith("racksalt")
    assert str(source.constant(path, "__virtualname__") or "racksalt").startswith("racksalt")


@pytest.mark.parametrize("path", LOADERS, ids=str)
def test_loader_functions_are_thin(path):
    """A loader function has at most 15 lines: arguments in, one call, JSON-able result out."""
    over = {
        function.name: source.body_lines(function)
        for function in source.functions(path)
        if source.body_lines(function) > LOADER_FUNCTION
    }
    assert not over, f"{path}: move the work into racksalt/ {over}"


@pytest.mark.parametrize("path", CALLABLE, ids=str)
def test_every_callable_function_shows_how_to_call_it(path):
    """Execution and runner functions have a docstring with ``CLI Example:``."""
    bare = [
        function.name
        for function in source.loader_functions(path)
        if "CLI Example:" not in (source.ast.get_docstring(function) or "")
    ]
    assert not bare, f"{path}: no CLI Example in {bare}"


@pytest.mark.parametrize("path", list(source.under(*NODE_SIDE, suffix=".py")), ids=str)
def test_node_side_modules_need_nothing_but_salt(path):
    """What runs on a node imports the standard library and Salt, for nothing else is there."""
    siblings = {other.stem for other in source.under("salt/_utils", suffix=".py")}
    allowed = sys.stdlib_module_names | {"salt", "__future__"} | siblings
    foreign = [
        f"{path}:{line} imports {name}"
        for line, name in source.imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not foreign


def test_pillar_is_read_unmasked():
    """Salt 3008 answers ``pillar.get`` from a module with asterisks unless it is asked for the value."""
    call = re.compile(r"""__salt__\[["']pillar\.get["']\]\(""")
    masked = [
        str(path)
        for path in source.under("salt", suffix=".py")
        if call.search(source.text(path)) and "unmask=True" not in source.text(path)
    ]
    assert not masked


def test_the_installed_extension_offers_every_loader_folder():
    """The ``salt.loader`` entry point returns each ``salt/_<type>`` folder under Salt's name for it."""
    from racksalt.saltext import loader_dirs

    offered = loader_dirs()
    assert set(offered) == {path.parts[1].removeprefix("_") for path in LOADERS}
    assert all(Path(folder).is_dir() for folders in offered.values() for folder in folders)
