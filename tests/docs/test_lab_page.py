"""The lab's page says what the lab does."""

from __future__ import annotations

import re

from racksalt.lab.fates import FATES
from tests.support import source

PAGE = (source.ROOT / "docs/how-to/use-the-lab.md").read_text(encoding="utf-8")


def test_every_fate_is_on_the_page_as_it_is_in_the_table():
    """Names and meanings are the same, in the same order."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([A-Z].*?) \|$", PAGE, re.MULTILINE)
    assert rows == [(fate.name, fate.meaning) for fate in FATES]


def test_every_option_on_the_page_is_one_of_the_lab():
    """No option is named that the lab does not take."""
    text = (source.ROOT / "racksalt/lab/host.py").read_text(encoding="utf-8")
    text += (source.ROOT / "racksalt/cli.py").read_text(encoding="utf-8")
    taken = set(re.findall(r'"(--[a-z-]+)"', text)) | {"--nodes", "--bmc"}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= taken
