"""Reads the repository's own source for the tests that hold its rules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or is about to be, under version control; relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return tuple(sorted(Path(name) for name in listed if name and (ROOT / name).is_file()))


def under(*folders: str, suffix: str = "") -> Iterator[Path]:
    """The files below any of ``folders`` whose names end in ``suffix``."""
    for path in files():
        if path.name.endswith(suffix) and any(path.is_relative_to(folder) for folder in folders):
            yield path


def text(path: Path) -> str:
    """The text of one file, undecodable bytes replaced."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one Python file."""
    return ast.parse(text(path), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, methods and inner functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def loader_functions(path: Path) -> Iterator[Function]:
    """What Salt shows of a loader file: its public top-level functions."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def body_lines(function: Function) -> int:
    """Lines of a function's body; its signature and docstring do not count."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full module name) of everything that a file imports, at any depth."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def constant(path: Path, name: str) -> object:
    """The literal assigned to ``name`` at the top of a file, None when there is none."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return ast.literal_eval(node.value)
    return None
