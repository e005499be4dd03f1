"""Programs: a missing one is told with its package, a failing one with its words."""

from __future__ import annotations

import pytest
from salt.exceptions import CommandExecutionError


def test_a_missing_program_is_told_with_its_package(real, tmp_path):
    """Here and in the installed system."""
    run = real.modules.racksalt_program.run
    with pytest.raises(CommandExecutionError, match="no no-such-tool: its image lacks the package"):
        run(["no-such-tool"])
    with pytest.raises(
        CommandExecutionError, match=r"has no grub-install: .* package grub2-common"
    ):
        run(["grub-install"], root=str(tmp_path))
