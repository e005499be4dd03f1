"""Configurations of minions in the lab."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import salt.config

from racksalt.boot.tokens import proof
from racksalt.lab.firmware import Environment
from racksalt.lab.minion_config import (
    has_system,
    make_key_pair,
    overlay,
    root_is_short_enough,
    write_environment,
)

ENVIRONMENT = Environment(
    name="live",
    node="n1",
    boot="3",
    token="ab" * 32,
    url="http://127.0.0.1:8800",
    master="127.0.0.1:4506",
    master_finger="aa:bb",
)


@pytest.fixture
def conf(tmp_path):
    """A live environment's configuration as Salt itself reads it."""
    folder = write_environment(
        tmp_path / "ram",
        ENVIRONMENT,
        hardware_file=tmp_path / "hw.json",
        target_root=tmp_path / "disk",
    )
    return salt.config.minion_config(str(folder / "minion"))


def test_salt_reads_what_the_boot_script_said(conf, tmp_path):
    """Master, its fingerprint, the id and racksalt's own part arrive."""
    assert (conf["id"], conf["master"], conf["master_port"]) == ("n1", "127.0.0.1", 4506)
    assert conf["master_finger"] == "aa:bb"
    assert conf["racksalt"]["environment"] == "live"
    assert conf["racksalt"]["hardware_file"] == str(tmp_path / "hw.json")
    assert conf["cache_jobs"] is True


def test_all_of_salts_folders_are_below_the_root(conf, tmp_path):
    """No minion in the lab touches a place outside its own root."""
    places = (
        "pki_dir",
        "cachedir",
        "sock_dir",
        "extension_modules",
        "pidfile",
        "log_file",
        "conf_file",
    )
    assert not [key for key in places if not Path(conf[key]).is_relative_to(tmp_path / "ram")]


def test_the_proof_is_over_the_key_that_was_made(conf):
    """The autosign grain proves the very key in the minion's folder."""
    public = (Path(conf["pki_dir"]) / "minion.pub").read_text()
    assert conf["autosign_grains"] == ["racksalt_proof"]
    assert conf["grains"]["racksalt_proof"] == proof(ENVIRONMENT.token, "n1", public)


def test_secrets_are_for_the_owner_only(conf, tmp_path):
    """Nobody else can read keys or the token."""
    for file in (tmp_path / "ram").rglob("*"):
        if file.is_file():
            assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file


def test_the_token_is_in_no_repr():
    """A logged environment tells no secret."""
    assert ENVIRONMENT.token not in repr(ENVIRONMENT)


def test_each_boot_makes_a_new_key_pair():
    """Two boots, two keys."""
    assert make_key_pair()[1] != make_key_pair()[1]


def test_an_installed_system_keeps_what_the_installer_wrote(tmp_path):
    """The lab adds where the disk is; id, proof and settings are those on the disk."""
    disk = tmp_path / "disk"
    (disk / "etc/salt").mkdir(parents=True)
    assert not has_system(disk)
    installed = {
        "id": "n1",
        "master": "10.0.0.1",
        "grains": {"racksalt_proof": "x"},
        "racksalt": {"environment": "local", "node": "n1"},
    }
    (disk / "etc/salt/minion").write_text(json.dumps(installed))
    assert has_system(disk)
    folder = overlay(disk, tmp_path / "local", hardware_file=tmp_path / "hw.json")
    conf = salt.config.minion_config(str(folder / "minion"))
    assert (conf["id"], conf["master"]) == ("n1", "10.0.0.1")
    assert conf["grains"] == {"racksalt_proof": "x"}
    assert conf["racksalt"]["environment"] == "local"
    assert conf["racksalt"]["hardware_file"] == str(tmp_path / "hw.json")
    assert conf["root_dir"] == str(disk)
    assert Path(conf["pki_dir"]) == disk / "etc/salt/pki/minion"


def test_a_path_that_is_too_long_is_found_out_early():
    """Sockets have 107 bytes of path on Linux."""
    assert root_is_short_enough(Path("/tmp/rack/n/n1/ram1"))
    assert not root_is_short_enough(Path("/tmp/" + "x" * 90))
