"""What the live system's scripts do, under a real shell; only what would change this computer is a stand-in."""

from __future__ import annotations

import subprocess

import pytest

from racksalt.images.recipe import folder
from tests.support.needs import need

SCRIPTS = folder() / "live/root/usr/lib/racksalt"


def _run(text: str) -> list[str]:
    ran = subprocess.run(
        ["dash", "-c", text], capture_output=True, text=True, check=False, timeout=60
    )
    assert not ran.stderr
    return ran.stdout.splitlines()


CLOCK = """
say() { echo "said: $*"; }
value() { echo http://api; }
timeout() { echo "  Date: Thu, 01 Jan 2026 12:00:00 GMT" >&2; }
date() { case "$*" in *-s*) echo "date $*" >&3 ;; +%s) echo NOW ;; -d*) echo 1767268800 ;; *) echo then ;; esac; }
busybox() { echo "busybox $*"; return STATUS; }
exec 3>&1
"""


@pytest.mark.parametrize(
    ("now", "status", "lines"),
    [
        (1767268801, 0, []),
        (1450000000, 0, ["date -s @1767268800", "said: the clock", "busybox hwclock -w -u"]),
        (1900000000, 1, ["date -s", "said: the clock", "busybox hwclock", "said: the machine's"]),
    ],
    ids=["right", "behind", "ahead, and no hardware clock"],
)
def test_a_wrong_clock_is_set_in_the_machine_too(now, status, lines):
    """The installed system starts with it, and a master takes no request that seems old; a failure is only told."""
    need("dash")
    start = (SCRIPTS / "start").read_text()
    part = start[start.index("url=$(value url)\ndate=$(") :]
    found = _run(CLOCK.replace("NOW", str(now)).replace("STATUS", str(status)) + part)
    assert len(found) == len(lines)
    assert all(line.startswith(begin) for line, begin in zip(found, lines, strict=True))


def test_busybox_sets_hardware_clocks():
    """The live system's busybox is of the same package as this one."""
    need("busybox")
    applets = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
    assert "hwclock" in applets.stdout.splitlines()


def test_the_inventory_is_told_until_it_is_taken(tmp_path):
    """However long the boot API is away: nothing else tells it before the next boot. But ever less often."""
    need("dash")
    (tmp_path / "minion").write_text("id: n1\n")
    report = tmp_path / "salt-call"
    report.write_text(
        f"#!/bin/sh\necho >>{tmp_path}/tries\n[ $(wc -l <{tmp_path}/tries) -gt 40 ] || {{ echo away; exit 1; }}\n"
    )
    report.chmod(0o755)
    stubs = f"""
PATH={tmp_path}:$PATH
say() {{ :; }}
value() {{ [ "$1" != environment ] || echo live; }}
sleep() {{ echo "$1"; }}
"""
    text = (SCRIPTS / "introduce").read_text()
    text = text.replace(". /usr/lib/racksalt/common\n", stubs)
    text = text.replace("/etc/salt/minion", str(tmp_path / "minion"))
    pauses = [int(line) for line in _run(text)]
    assert len(pauses) == 40
    assert pauses[:4] == [10, 20, 40, 80]
    assert set(pauses[7:]) == {600}
