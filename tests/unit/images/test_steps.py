"""Steps: what is there is used again, what is half made never."""

from __future__ import annotations

import pytest

from racksalt.images.steps import KEPT, Workshop
from racksalt.model.errors import ConflictError


@pytest.fixture
def shop(tmp_path):
    """A workshop that says nothing."""
    return Workshop(tmp_path / "cache", lambda _: None)


def _maker(made):
    def make(folder):
        made.append(folder.name)
        (folder / "file").write_text(str(len(made)))

    return make


def test_a_second_build_takes_what_is_there(shop):
    """The same inputs are made once; others are made anew."""
    made = []
    first = shop.step("one", {"a": 1}, _maker(made))
    assert shop.step("one", {"a": 1}, _maker(made)) == first
    assert shop.step("one", {"a": 2}, _maker(made)) != first
    assert len(made) == 2
    assert [step["cached"] for step in shop.took] == [False, True, False]


def test_a_step_that_failed_is_made_again(shop):
    """What it left is not taken for its result, and is cleared away by the next build."""

    def fail(folder):
        (folder / "half").write_text("x")
        raise ZeroDivisionError

    with shop.alone(), pytest.raises(ZeroDivisionError):
        shop.step("one", 1, fail)
    with shop.alone():
        made = shop.step("one", 1, _maker([]))
    assert [path.name for path in made.iterdir()] == ["file"]
    assert not list(shop.folder.glob(".*.part"))


def test_two_builds_never_share_a_folder(shop):
    """The second one is refused, not queued behind a console that nobody watches."""
    with shop.alone(), pytest.raises(ConflictError, match="another build"), shop.alone():
        pass
    with shop.alone():
        pass


def test_a_refresh_fetches_anew_but_once(shop):
    """Steps that fetch are repeated; asking for one twice in a build gives one result."""
    made, other = [], []
    shop.step("packages-x", 1, _maker(made))
    shop.step("salt-x", 1, _maker(other))
    shop.refresh()
    for _ in range(2):
        shop.step("packages-x", 1, _maker(made))
        shop.step("salt-x", 1, _maker(other))
    assert (len(made), len(other)) == (2, 1)


def test_old_results_make_room(shop):
    """A recipe that is edited every day does not fill the disk."""
    for number in range(KEPT + 3):
        shop.step("one", number, _maker([]))
    assert len(list(shop.folder.glob("one-*"))) == KEPT
