"""Salt for images: the tested versions, without what no minion imports."""

from __future__ import annotations

from racksalt.images import salt_tree
from racksalt.images.recipe import load


def test_what_a_recipe_leaves_out_is_not_asked_for():
    """What remains is enough for a minion: the live system's start shows that it is."""
    wanted = salt_tree.requirements(load("live"))
    assert {"cryptography", "jinja2", "msgpack", "pyyaml", "pyzmq", "tornado"} <= set(wanted)
    assert not {"cherrypy", "apache-libcloud", "gitpython", "timelib", "virtualenv"} & set(wanted)


def test_versions_are_those_of_the_image_s_python():
    """A pin for older Pythons is not taken for a newer one, nor the other way round."""
    assert salt_tree._pinned("3.10")["requests"] != salt_tree._pinned("3.11")["requests"]
    assert salt_tree._pinned("3.13") == salt_tree._pinned("3.11")
    assert salt_tree._pinned("3.11")["salt"].startswith("3008.")


def test_only_what_runs_on_nodes_goes_into_images():
    """Runners, engines and the pillar belong to the master."""
    names = {path.name for path in salt_tree.loader_folders()}
    assert names == {"_modules", "_states"} | (names & {"_grains", "_utils"})
