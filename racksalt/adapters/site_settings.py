"""What the built-in stages say to the settings that a site's layers have for them, before any node runs one.

The table of what they take is that of the nodes (``salt/_modules/racksalt_settings.py``): there is no second one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from racksalt.share import share_dir
from racksalt.site.layers import REMOVE, Layer
from racksalt.site.problems import SiteProblem, one_of
from racksalt.site.schema import Declarations


def unknown(layers: Iterable[Layer], declared: Declarations) -> Iterator[SiteProblem]:
    """Yield the settings that a stage would refuse. A stage that runs the site's own states takes what it likes."""
    added = declared.additions.get("stages", {})
    own, known = {name for name, one in added.items() if "sls" in one}, {*added, *_table().STAGES}
    for layer in layers:
        stages: Any = layer.values
        for key in ("racksalt", "stages"):
            stages = stages.get(key) if isinstance(stages, Mapping) else None
        for stage, settings in stages.items() if isinstance(stages, Mapping) else ():
            if stage not in known:
                hint = one_of(str(stage), sorted(known))
                where = f"racksalt:stages:{stage}"
                yield SiteProblem(layer.origin.file, where, "no such stage", hint)
            wanted = None if stage in own else _without_removals(settings)
            for key, message, hint in _table().problems(stage, wanted):
                yield SiteProblem(layer.origin.file, key, message, hint)


def _without_removals(value: Any) -> Any:
    """Return the values without those that only take away what a lower layer says."""
    if isinstance(value, Mapping):
        return {key: _without_removals(one) for key, one in value.items() if one != REMOVE}
    return None if value == REMOVE else value


@cache
def _table() -> ModuleType:
    """Return the nodes' module; it is no part of this package, for Salt loads it from a folder."""
    path = share_dir("salt") / "_modules" / "racksalt_settings.py"
    spec = importlib.util.spec_from_file_location("racksalt_settings", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
