"""Every function that Salt shows of racksalt can be called as documented."""

from __future__ import annotations

import pytest
import salt.utils.args

from racksalt.share import share_dir


def _ours(loader):
    return {name: loader[name] for name in loader if name.startswith("racksalt")}


@pytest.mark.parametrize("kind", ["modules", "states"])
def test_every_function_of_a_node_has_an_argspec_and_a_docstring(loaded, real, kind):
    """Salt itself can describe and document each function, and none leaks a helper."""
    stems = {path.stem for path in (share_dir("salt") / f"_{kind}").glob("*.py")}
    files = {stem.removesuffix("_lab") for stem in stems}
    both = [_ours(getattr(machine.loaders, kind)) for machine in (loaded, real)]
    found = both[0] | both[1]
    assert {name.split(".")[0] for name in found} == files
    for name in found:
        function = found[name]
        assert "._" not in name
        if kind == "modules":
            assert function.__doc__, name
            assert salt.utils.args.get_function_argspec(function) is not None, name
