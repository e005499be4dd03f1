from __future__ import annotations

import os
import subprocess

import pytest

from racksalt.adapters import switch_runner
from racksalt.adapters.switch_runner import LocalRunner, SshRunner, secret_file, way_to
from racksalt.model.errors import SettingsError, SwitchError
from racksalt.model.switch import Switch

LOCAL = Switch(name="tor", rack="r1", via="local")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0nG1Yb6k2hZ3l4Xo5pQ6r7S8t9u0v1w2x3y4z5A6B7"
FAR = Switch(name="tor", rack="r1", address="127.0.0.1", port=1, secret="file:tor", host_key=KEY)


@pytest.fixture
def secrets(tmp_path):
    """A folder with one private file."""
    (tmp_path / "tor").write_text("key")
    (tmp_path / "tor").chmod(0o600)
    return tmp_path


def test_a_script_runs_and_prints():
    """The whole script is one shell's."""
    assert LocalRunner(LOCAL).run("x='a b'\necho \"$x\"") == "a b\n"


def test_a_script_that_fails_says_why():
    """The switch's name and what its programs said last."""
    with pytest.raises(SwitchError, match="tor: no such port"):
        LocalRunner(LOCAL).run("echo no such port >&2; exit 3")
    with pytest.raises(SwitchError, match="exit status 3"):
        LocalRunner(LOCAL).run("exit 3")


def test_a_script_that_does_not_end_is_given_up(monkeypatch):
    """A switch that hangs holds nobody up for ever."""
    monkeypatch.setattr(switch_runner, "TIMEOUT_S", 0.2)
    with pytest.raises(SwitchError, match="no end"):
        LocalRunner(LOCAL).run("sleep 30")


def test_a_secret_is_a_private_file_of_the_folder(secrets):
    """Names alone, no paths; and a file that others can read is refused."""
    assert secret_file(secrets, "file:tor").read_text() == "key"
    for wrong in ("file:../tor", "file:", "tor", "hunter2", "file:a/b"):
        with pytest.raises(SettingsError) as caught:
            secret_file(secrets, wrong)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match="No such file"):
        secret_file(secrets, "file:other")
    (secrets / "tor").chmod(0o640)
    with pytest.raises(SettingsError, match="by others"):
        secret_file(secrets, "file:tor")


def test_nobody_there_is_told(secrets):
    """A refused connection is the switch's trouble, with its name."""
    runner = SshRunner(FAR, secrets)
    try:
        with pytest.raises(SwitchError, match=r"tor: .*refused"):
            runner.run("true")
    finally:
        runner.close()


def test_each_declaration_has_its_way(secrets):
    """``via`` chooses; a switch that is reached by its minion needs a Salt master."""
    assert isinstance(way_to(LOCAL, secrets), LocalRunner)
    far = way_to(FAR, secrets)
    assert isinstance(far, SshRunner)
    far.close()
    minion = Switch(name="tor", rack="r1", via="minion")
    with pytest.raises(SwitchError, match="Salt minion"):
        way_to(minion, secrets)
    assert way_to(minion, secrets, lambda _: LocalRunner(LOCAL)) is not None


@pytest.mark.daemons
@pytest.mark.needs("ip", root=True)
def test_a_switch_may_be_a_namespace_of_this_host():
    """The script sees the namespace's interfaces, not the host's."""
    name = f"switches-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = Switch(name="tor", rack="r1", via="local", namespace=name)
        assert LocalRunner(inside).run("ls /sys/class/net; ip -o link").count("LOOPBACK") == 1
        assert "eth0" not in LocalRunner(inside).run("ip -o link")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_login_without_rights_goes_by_sudo_and_keeps_its_way_in(secrets, tmp_path):
    """Sudo forgets the environment; the far shell's line hands over where the connection comes from."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text('#!/bin/sh\n[ "$1" = -n ] && shift && exec env -i "$@"\n')
    (programs / "sudo").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SSH_CONNECTION": "10.0.0.9 1 2 3"}
    runner = SshRunner(FAR, secrets)
    try:
        line = runner._wrapped("echo 'a b' \"${SSH_CONNECTION%% *}\"")
    finally:
        runner.close()
    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "a b 10.0.0.9\n"), done.stderr
