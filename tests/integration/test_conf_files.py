"""The files in conf/, judged by the programs that read them."""

from __future__ import annotations

import re
import shutil
import sqlite3
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


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_what_is_to_run_always_is_never_given_up(unit):
    """A disk that is full for a minute would otherwise end the services until a person starts them."""
    text = unit.read_text()
    assert ("\nRestart=" in text) == (
        "\nStartLimitIntervalSec=0\n" in text.partition("[Service]")[0]
    )


def test_dhcp_goes_on_when_its_service_dies():
    """The unit ends the service alone, and the service its servers; of all others nothing must be left behind."""
    alone = [unit.stem for unit in UNITS if "\nKillMode=process\n" in unit.read_text()]
    assert "racksalt-dhcp" in alone


@pytest.mark.needs("nft", root=True)
def test_nft_accepts_the_firewall():
    """Checked against the kernel, and not loaded."""
    assert judged("nft", "-c", "-f", str(CONF / "nftables/racksalt.nft")) == (0, "")


@pytest.mark.parametrize("script", sorted((CONF / "bin").iterdir()), ids=lambda path: path.name)
def test_scripts_are_programs_of_the_plain_shell(script):
    """What `sh` of Debian refuses would fail on the admin node."""
    assert script.stat().st_mode & 0o111
    assert judged("sh", "-n", str(script)) == (0, "")


PROGRAM, RUNUSER = "/opt/racksalt/bin/racksalt", "/usr/sbin/runuser"
WORDS = ["--reason", "two words", "", "*", "$HOME"]


@pytest.fixture
def command(tmp_path):
    """Run `racksalt` of the admin node as a user; return who runs which words. The programs only tell of themselves."""
    text = (CONF / "bin/racksalt").read_text()
    for name in (PROGRAM, RUNUSER, "id"):
        tells = "echo $STAND_IN_UID" if name == "id" else 'printf "%s\\n" "${0##*/}" "$@"'
        stand_in = tmp_path / Path(name).name
        stand_in.write_text(f"#!/bin/sh\n{tells}\n")
        stand_in.chmod(0o755)
        assert name in text
        text = text.replace(name, str(stand_in)) if name.startswith("/") else text
    script = tmp_path / "script"
    script.write_text(text)

    def command(*words, uid=0):
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "STAND_IN_UID": str(uid)}
        done = subprocess.run(
            ["sh", str(script), *words], capture_output=True, text=True, check=True, env=env
        )
        return done.stdout.replace(f"{tmp_path}/", "").splitlines()

    return command


@pytest.mark.parametrize(
    "words",
    [
        ["node", "list"],
        ["site", "check", "image"],
        ["--settings", "image", "node", "list"],
        ["--settings=lab", "doctor"],
        ["serve-dhcp", "--help"],
        [],
    ],
)
def test_root_runs_racksalt_as_the_user_that_owns_its_files(command, words):
    """What root itself made, the services could not read; every word is handed on as it is."""
    as_salt = ["runuser", "-u", "salt", "--", "racksalt"]
    assert command(*words, *WORDS) == [*as_salt, *words, *WORDS]


@pytest.mark.parametrize(
    "words",
    [
        ["image", "build", "live"],
        ["lab", "qemu"],
        ["--settings", "file", "image", "list"],
        ["dhcp", "leases"],
    ],
)
def test_images_the_lab_and_dhcp_are_roots(command, words):
    """A build makes a whole system, the QEMU lab a network, and Kea's socket is root's: all need its rights."""
    assert command(*words, *WORDS) == ["racksalt", *words, *WORDS]


@pytest.mark.parametrize("words", [["node", "list"], ["image", "list"]])
def test_who_is_not_root_stays_who_he_is(command, words):
    """The user `salt` needs nobody's help, and `runuser` would refuse it."""
    assert command(*words, *WORDS, uid=998) == ["racksalt", *words, *WORDS]


@pytest.fixture
def backup(tmp_path):
    """Run `racksalt-backup` over a root of its own, with a tar that ends with a status; return status and archives."""
    root, bin_, there = tmp_path / "root", tmp_path / "bin", tmp_path / "backups"
    for name in ("etc/racksalt", "etc/salt", "srv/site", "var/lib/racksalt"):
        (root / name).mkdir(parents=True)
    bin_.mkdir()
    there.mkdir()
    with sqlite3.connect(root / "var/lib/racksalt/racksalt.db") as database:
        database.execute("CREATE TABLE one (x)")
    database.close()
    text = (CONF / "bin/racksalt-backup").read_text()
    for old, new in (("/var/lib", f"{root}/var/lib"), ("tar -C /", f"tar -C {root}")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "script").write_text(text)

    def backup(tar_status):
        real = shutil.which("tar")
        (bin_ / "tar").write_text(f'#!/bin/sh\n{real} "$@"\nexit {tar_status}\n')
        (bin_ / "tar").chmod(0o755)
        env = {"PATH": f"{bin_}:/usr/bin:/bin"}
        done = subprocess.run(["sh", tmp_path / "script", there], env=env, check=False)
        return done.returncode, [path.name for path in there.iterdir()]

    return backup


@pytest.mark.needs("sqlite3")
def test_a_backup_of_a_site_that_runs_is_kept(backup):
    """Keys come and go while tar reads them, which it says by status 1; what could not be written is no backup."""
    assert backup(2) == (1, [])
    status, archives = backup(1)
    assert status == 0
    assert len(archives) == 1
    assert archives[0].startswith("racksalt-")


def test_the_guides_say_what_root_runs():
    """Both name the commands that the script leaves to root."""
    told = (CONF.parent / "docs/how-to/build-images.md").read_text(encoding="utf-8")
    assert "`racksalt image` runs as root" in told
    assert "`racksalt image`, `racksalt lab` and `racksalt dhcp` stay root's" in GUIDE.replace(
        "\n", " "
    )


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
