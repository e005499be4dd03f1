"""The files in conf/, judged by the programs that read them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from racksalt.adapters.settings_file import read_settings

CONF = Path(__file__).parents[2] / "conf"
UNITS = sorted((CONF / "systemd").glob("*.service"))
GUIDE = (CONF.parent / "docs/how-to/install-on-a-master.md").read_text(encoding="utf-8")


def judged(*command):
    """Run a program; return what it says."""
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_every_unit(unit, tmp_path):
    """No unknown key, no wrong value; the programs themselves are not on this machine."""
    text = re.sub(r"^(Exec\w+=-?)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
    copied = tmp_path / unit.name
    copied.write_text(text.replace("User=salt\nGroup=salt\n", "").replace("User=salt\n", ""))
    code, said = judged("systemd-analyze", "verify", "--man=no", str(copied))
    assert (code, [line for line in said.splitlines() if unit.name in line]) == (0, [])


@pytest.mark.needs("nft", root=True)
def test_nft_accepts_the_firewall():
    """Checked against the kernel, and not loaded."""
    assert judged("nft", "-c", "-f", str(CONF / "nftables/racksalt.nft")) == (0, "")


@pytest.mark.parametrize("script", sorted((CONF / "bin").iterdir()), ids=lambda path: path.name)
def test_scripts_are_programs_of_the_plain_shell(script):
    """What `sh` of Debian refuses would fail on the admin node."""
    assert script.stat().st_mode & 0o111
    assert judged("sh", "-n", str(script)) == (0, "")


def test_the_example_settings_are_settings():
    """Every key exists and has a value of its type."""
    settings = read_settings(CONF / "racksalt.yaml")
    assert settings.graphql.host == "127.0.0.1"
    assert settings.boot_api.images.startswith(settings.boot_api.url)


def test_the_guide_installs_every_file_and_no_other():
    """Each file of conf/ is named by the install guide, and each one it names is there."""
    named = set(re.findall(r"\bconf/([\w./-]+\w)", GUIDE))
    there = {str(path.relative_to(CONF)) for path in CONF.rglob("*") if path.is_file()}
    of_nodes = {"minion.d/racksalt.conf", "systemd/racksalt-boot.service"}
    assert named <= there
    assert there - named <= of_nodes
