"""Recipes: data that is checked before anything is fetched."""

from __future__ import annotations

import pytest

from racksalt.images import recipe
from racksalt.model.errors import InvalidInputError, NotFoundError

TINY = "name: tiny\nkind: os\ntitle: t\ndistribution: debian\nsuite: s\npackages: []\n"


def _file(folder, text, name="tiny"):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_that_comes_along_is_well_formed(name):
    """Each loads, has both kernels, and names what it leaves out below its root."""
    found = recipe.load(name)
    assert set(found.kernels) == {"cloud", "full"}
    assert not [glob for glob in (*found.without, *found.salt_without) if glob.startswith("/")]
    assert found.packages


def test_a_live_and_two_distributions_come_along():
    """The live system, and more than one thing to install."""
    kinds = [recipe.load(name).kind for name in recipe.names()]
    assert kinds.count("live") == 1
    assert kinds.count("os") >= 2


def test_an_unknown_recipe_is_told_with_those_there_are():
    """The message helps to choose."""
    with pytest.raises(NotFoundError, match=r"there are .*live"):
        recipe.load("windows")


@pytest.mark.parametrize("name", ["../constraints", "/etc/passwd", "live/../live", ""])
def test_a_name_is_no_way_out_of_the_folder(name):
    """Only a name that ends in .yaml is a file."""
    with pytest.raises(NotFoundError):
        recipe.load(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TINY + "pakages: []\n", "pakages"),
        (TINY.replace("os", "iso"), "kind"),
        (TINY.replace("packages: []", "packages: 3"), "packages"),
        ("- a list\n", "Expected `object`"),
        ("name: [\n", "tiny.yaml"),
        (TINY.replace("tiny", "huge"), "must be the file's name"),
    ],
)
def test_a_wrong_recipe_is_told_with_file_and_key(tmp_path, text, told):
    """Nothing is fetched for it."""
    with pytest.raises(InvalidInputError, match=told):
        recipe.load(_file(tmp_path, text))


def test_a_kernel_that_the_recipe_lacks_is_told_with_those_it_has():
    """The choice is the recipe's."""
    with pytest.raises(InvalidInputError, match="choose from cloud, full"):
        recipe.load("live").kernel("tiny")


def test_equal_inputs_have_equal_digests_whatever_their_order():
    """A dictionary's order is no difference; a value is."""
    assert recipe.digest({"a": 1, "b": [2]}) == recipe.digest({"b": [2], "a": 1})
    assert recipe.digest({"a": 1}) != recipe.digest({"a": 2})


def test_a_tree_s_digest_knows_content_name_and_mode(tmp_path):
    """What would change the image changes the digest; caches do not."""
    (tmp_path / "a").write_text("1")
    first = recipe.tree_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("x")
    assert recipe.tree_digest(tmp_path) == first
    (tmp_path / "a").chmod(0o755)
    second = recipe.tree_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    assert len({first, second, recipe.tree_digest(tmp_path)}) == 3
