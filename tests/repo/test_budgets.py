"""Length budgets. The tail is what makes code hard to read, so the tail is what is bounded."""

from __future__ import annotations

from pathlib import Path

from tests.support import source

FILE, FUNCTION, TEST_FILE, SLS, REACTOR = 400, 40, 600, 40, 12

# Path, or path::function -> (its own limit, why). Keep it short; remove what no longer needs it.
MIGRATION = "racksalt/store/migrations/versions/0001_first_tables.py"
EXCEPTIONS: dict[str, tuple[int, str]] = {
    f"{MIGRATION}::upgrade": (
        260,
        "a migration is a list of tables, written once and never edited",
    ),
    f"{MIGRATION}::downgrade": (60, "the same list backwards"),
}


def _limit(key: str, budget: int) -> int:
    return EXCEPTIONS.get(key, (budget, ""))[0]


def _lines(path: Path) -> int:
    return len(source.text(path).splitlines())


def _over(paths, budget: int) -> list[str]:
    return [
        f"{path}: {_lines(path)} lines, budget {_limit(str(path), budget)}"
        for path in paths
        if _lines(path) > _limit(str(path), budget)
    ]


def test_python_files_keep_their_budget():
    """A Python file has at most 400 lines, a test file 600."""
    code = [path for path in source.under(".", suffix=".py") if path.parts[0] != "tests"]
    over = _over(code, FILE) + _over(source.under("tests", suffix=".py"), TEST_FILE)
    assert not over, "split these:\n" + "\n".join(over)


def test_functions_keep_their_budget():
    """A function's body has at most 40 lines, in tests too."""
    over = [
        f"{path}:{function.lineno} {function.name}: {source.body_lines(function)} lines"
        for path in source.under(".", suffix=".py")
        for function in source.functions(path)
        if source.body_lines(function) > _limit(f"{path}::{function.name}", FUNCTION)
    ]
    assert not over, "split these:\n" + "\n".join(over)


def test_sls_files_keep_their_budget():
    """An SLS file has at most 40 lines, a reactor 12: no decision is made in them."""
    reactors = set(source.under("salt/reactor", suffix=".sls"))
    others = [path for path in source.under(".", suffix=".sls") if path not in reactors]
    over = _over(sorted(reactors), REACTOR) + _over(others, SLS)
    assert not over, "move the decision into Python:\n" + "\n".join(over)


def test_every_exception_is_argued_and_needed():
    """An exception names its reason, and goes when the code fits its budget again."""
    for key, (limit, why) in EXCEPTIONS.items():
        path, _, function = key.partition("::")
        assert len(why) > 15, f"{key}: say why"
        assert Path(path) in source.files(), f"{key} is gone; remove its exception"
        budget = FUNCTION if function else TEST_FILE if path.startswith("tests/") else FILE
        length = max(
            (source.body_lines(f) for f in source.functions(Path(path)) if f.name == function),
            default=_lines(Path(path)),
        )
        assert budget < length <= limit, f"{key} has {length} lines: the exception is not needed"
