"""An error is documentation: each class has a code, and each code a page that says what to do."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

import pytest

import racksalt
from racksalt.model.errors import RacksaltError
from tests.support import source

PAGES = source.Path("docs/reference/errors")
HEADINGS = ["What happened", "Why", "What to do"]


def _classes(base: type[RacksaltError] = RacksaltError) -> list[type[RacksaltError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


def _all_errors() -> list[type[RacksaltError]]:
    for module in pkgutil.walk_packages(racksalt.__path__, "racksalt."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [found for found in _classes() if found is not RacksaltError]


def test_each_error_class_has_its_own_code():
    """Two classes never share a code, so that a program can tell them apart."""
    codes = Counter(error.code for error in _all_errors())
    assert not [code for code, times in codes.items() if times > 1]


@pytest.mark.parametrize("error", _classes()[1:], ids=lambda error: error.code)
def test_each_error_has_a_page_that_says_what_to_do(error):
    """The page has exactly the headings What happened, Why, What to do, and none of them is empty."""
    page = source.text(PAGES / f"{error.code}.md")
    parts = page.split("\n## ")
    assert parts[0].splitlines()[0] == f"# {error.code}"
    assert [part.splitlines()[0] for part in parts[1:]] == HEADINGS
    assert all(len(part.split("\n", 1)[1].split()) >= 10 for part in parts[1:])


def test_each_page_belongs_to_an_error():
    """A page whose error is gone goes too."""
    codes = {error.code for error in _all_errors()}
    pages = {path.stem for path in source.under(str(PAGES), suffix=".md")} - {"index"}
    assert pages == codes


def test_nobody_raises_the_base_class():
    """An error without its own code has no page that could help."""
    raised = [
        str(path)
        for path in source.under("racksalt", "graphql_api", "salt", suffix=".py")
        if "raise RacksaltError(" in source.text(path)
    ]
    assert not raised
