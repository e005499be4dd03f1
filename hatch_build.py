"""Ships the Salt trees inside the wheel; an editable install uses the checkout's own, so it gets no copy."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShareHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts ``salt/ states/ pillar/ conf/ recipes/`` under ``racksalt/_share`` (see ``racksalt/share.py``)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to a standard wheel."""
        if self.target_name == "wheel" and version == "standard":
            for name in ("salt", "states", "pillar", "conf", "recipes"):
                build_data["force_include"][name] = f"racksalt/_share/{name}"
            # Images hold Salt in the versions that were tested.
            build_data["force_include"]["constraints.txt"] = "racksalt/_share/constraints.txt"
