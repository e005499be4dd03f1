"""The documentation builds."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_documentation_builds_without_a_warning(repository, tmp_path):
    """Every reference resolves, every page is in a table of contents: what `make docs` asks for."""
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-n",
            "-q",
            "-b",
            "html",
            "docs",
            tmp_path,
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "index.html").stat().st_size > 1000
