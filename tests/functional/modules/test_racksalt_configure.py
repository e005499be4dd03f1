"""An image made one node's own system: its files, its users, its bootloader, and nothing that all copies share."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.boot_stub import boot_api
from tests.support.loop_disks import LoopDisks, LoopNode, skip_unless_loops
from tests.support.tiny_image import KERNELS, make_image, publish

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3mQ0v1o9p5cXnV0l3d8r0uW2m1b0c1q2w3e4r5t6y7 ada@office"
HASHED = "$6$saltsalt$" + "a" * 86
WANTED = {
    "users": [
        {"name": "root", "ssh_keys": [KEY]},
        {"name": "ada", "ssh_keys": [KEY], "sudo": True, "password_hash": HASHED},
    ],
    "ntp": ["ntp1.example.net"],
    "timezone": "Europe/Paris",
    "dns": {"servers": ["10.0.0.53"], "search": ["example.net"]},
    "hosts": {"10.0.0.9": "mirror"},
    "console": "ttyS1,57600",
}
FACTS = {
    "node": "n1",
    "fqdn": "n1.z1.example.net",
    "networks": {"prov": {"addresses": ["10.0.0.7", "fd00::7"]}},
}
# The kernel of a build machine may know no FAT; GRUB's own programs are stand-ins too.
NO_FAT = """case "$*" in
  *vfat*|*/boot/efi*) exit 0;;
esac
exec /bin/{name} "$@"
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A machine with one disk, an image, and a boot API that knows its token."""
    skip_unless_loops()
    folder, disks = tmp_path_factory.mktemp("node"), LoopDisks(tmp_path_factory.mktemp("disks"))
    tools = folder / "tools"
    tools.mkdir()
    for name in ("mount", "umount"):
        (tools / name).write_text(f"#!/bin/sh\n{NO_FAT.format(name=name)}")
        (tools / name).chmod(0o755)
    try:
        disk = disks.add("only", 700)
        publish(folder, make_image(folder))
        with boot_api(folder) as url:
            key = {"images_key": str(folder / "images.pub")}
            node = LoopNode(folder / "node", disks, [disk], url=url, **key)
            node.loaders._original_opts["racksalt_programs"] = str(tools)
            yield node
            node.modules.racksalt_target.release()
    finally:
        disks.close()


@pytest.fixture
def imaged(machine):
    """The machine with a fresh copy of the image on its disk."""
    machine.modules.racksalt_target.release()
    machine.reboot(os.urandom(32).hex())
    _pillar(machine, WANTED)
    machine.modules.racksalt_disk.carry_out("partition", {})
    machine.modules.racksalt_disk.carry_out("image", {"source": "os/tiny/1"})
    return machine


def _pillar(machine, wanted):
    machine.pillar(**FACTS, stages={"configure": wanted})


@pytest.fixture
def installed(imaged):
    """The machine after the stage, its system mounted for looking."""
    done = imaged.states.racksalt_disk.configured(name="c")
    assert done.result is True, done.comment
    root = Path(imaged.modules.racksalt_target.mount(read_only=True))
    yield root
    imaged.modules.racksalt_target.release()


def _mode(path):
    return path.stat().st_mode & 0o777


def test_the_system_has_its_name_mounts_and_addresses(installed):
    """Host name, own addresses in hosts, mounts by UUID."""
    assert (installed / "etc/hostname").read_text() == "n1\n"
    hosts = (installed / "etc/hosts").read_text().splitlines()
    assert "10.0.0.7 n1.z1.example.net n1" in hosts
    assert "fd00::7 n1.z1.example.net n1" in hosts
    assert "10.0.0.9 mirror" in hosts
    fstab = (installed / "etc/fstab").read_text()
    assert re.search(r"^UUID=[0-9a-f-]{36} / ext4 errors=remount-ro 0 1$", fstab, re.MULTILINE)
    assert re.search(r"^UUID=[0-9A-F]{4}-[0-9A-F]{4} /boot/efi vfat .*nofail", fstab, re.MULTILINE)


def test_what_copies_of_an_image_share_is_gone(installed):
    """No machine id, no SSH host key of the image; new host keys are made."""
    assert (installed / "etc/machine-id").read_text() == ""
    assert not (installed / "etc/ssh/ssh_host_rsa_key").exists()
    told = (installed / "told").read_text()
    assert re.findall(r"ssh-keygen .*-t (\S+) .*-f (\S+)", told) == [
        ("ed25519", "/etc/ssh/ssh_host_ed25519_key"),
        ("ecdsa", "/etc/ssh/ssh_host_ecdsa_key"),
    ]


def test_users_have_their_keys_and_no_more(installed):
    """Keys are for their owner only; a password's hash goes through standard input."""
    for home in ("root", "home/ada"):
        keys = installed / home / ".ssh/authorized_keys"
        assert keys.read_text() == f"{KEY}\n"
        assert (_mode(keys), _mode(keys.parent)) == (0o600, 0o700)
    assert (installed / "home/ada/.ssh").stat().st_uid == 1000
    rule = installed / "etc/sudoers.d/racksalt-ada"
    assert (rule.read_text(), _mode(rule)) == ("ada ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
    told = (installed / "told").read_text()
    assert f"chpasswd --encrypted < ada:{HASHED}" in told
    assert "useradd --create-home --shell /bin/bash ada" in told


def test_clock_and_names_are_set(installed):
    """Timezone, NTP servers, DNS; a link in the image is replaced, not followed."""
    assert (installed / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Paris")
    ntp = installed / "etc/systemd/timesyncd.conf.d/racksalt.conf"
    assert ntp.read_text() == "[Time]\nNTP=ntp1.example.net\n"
    resolv = installed / "etc/resolv.conf"
    assert not resolv.is_symlink()
    assert resolv.read_text() == "nameserver 10.0.0.53\nsearch example.net\n"


def test_one_server_is_one_server(imaged):
    """Given as text instead of a list; written letter by letter, no clock would be set and no name be found."""
    said = {"ntp": "ntp1.example.net", "dns": {"servers": "10.0.0.53", "search": "example.net"}}
    _pillar(imaged, {**said, "hosts": {"10.0.0.9": ["mirror", "cache"]}})
    done = imaged.modules.racksalt_disk.carry_out("configure")["changes"]
    assert (done["clock"]["ntp"], done["dns"]) == (["ntp1.example.net"], ["10.0.0.53"])
    root = Path(imaged.modules.racksalt_target.mount(read_only=True))
    ntp = (root / "etc/systemd/timesyncd.conf.d/racksalt.conf").read_text()
    resolv, hosts = (root / "etc/resolv.conf").read_text(), (root / "etc/hosts").read_text()
    imaged.modules.racksalt_target.release()
    assert ntp == "[Time]\nNTP=ntp1.example.net\n"
    assert resolv == "nameserver 10.0.0.53\nsearch example.net\n"
    assert "10.0.0.9 mirror cache\n" in hosts


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ntp": {"servers": []}}, "configure:ntp: a map is no text"),
        ({"dns": ["10.0.0.53"]}, "configure:dns: a list is no map"),
        ({"ntpp": []}, "configure:ntpp: no such key; use users, ntp, timezone"),
    ],
)
def test_settings_of_another_kind_are_refused_before_anything_is_mounted(machine, said, told):
    """In test mode, too."""
    _pillar(machine, said)
    for act in (machine.modules.racksalt_disk.plan, machine.modules.racksalt_disk.carry_out):
        with pytest.raises(CommandExecutionError, match=told):
            act("configure")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the bootloaders of x86-64")
def test_the_disk_boots_by_bios_and_by_uefi(installed, machine):
    """Both bootloaders are installed in the system's own root; the console is as asked for."""
    told = (installed / "told").read_text().splitlines()
    device = machine.modules.racksalt_partition.made()["disks"][0]["device"]
    assert f"grub-install --target=i386-pc --recheck {device}" in told
    efi = next(line for line in told if "x86_64-efi" in line)
    assert "--removable --no-nvram" in efi
    grub = (installed / "etc/default/grub.d/racksalt.cfg").read_text()
    assert 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS1,57600"' in grub
    assert 'GRUB_SERIAL_COMMAND="serial --unit=1 --speed=57600"' in grub


def test_the_menu_names_the_newest_kernel_first_and_the_root_by_its_uuid(installed, machine):
    """9 is older than 56, a kernel without an initial RAM disk boots nothing, the console is as asked for."""
    menu = (installed / "boot/grub/grub.cfg").read_text()
    made = machine.modules.racksalt_partition.made()
    uuid = machine.modules.racksalt_target.device_uuid(made["root"])
    booted = re.findall(
        r"^    linux /boot/vmlinuz-(\S+) root=UUID=(\S+) ro (.*)$", menu, re.MULTILINE
    )
    arguments = "console=tty0 console=ttyS1,57600"
    assert booted == [(name, uuid, arguments) for name in reversed(KERNELS)]
    assert re.findall(r"initrd /boot/initrd.img-(\S+)", menu) == list(reversed(KERNELS))
    assert f"search --no-floppy --fs-uuid --set=root {uuid}\n" in menu
    assert "serial --unit=1 --speed=57600" in menu


def test_arguments_that_mean_something_to_grub_are_refused(imaged):
    """The message names the setting; nothing is installed."""
    _pillar(imaged, {"kernel_arguments": "quiet; reboot"})
    told = "configure:kernel_arguments: 'quiet; reboot' .* use letters"
    with pytest.raises(CommandExecutionError, match=told):
        imaged.modules.racksalt_disk.carry_out("configure")


def test_settings_without_a_value_are_none_and_a_link_is_not_followed(imaged, tmp_path):
    """`kernel_arguments:` with nothing behind it is no argument "None"; no console asks for none."""
    victim = tmp_path / "grub.cfg"
    victim.write_text("of the live system")
    root = Path(imaged.modules.racksalt_target.mount())
    (root / "boot/grub/grub.cfg").symlink_to(victim)
    _pillar(imaged, {"kernel_arguments": None, "console": None})
    imaged.modules.racksalt_disk.carry_out("configure")
    root = Path(imaged.modules.racksalt_target.mount(read_only=True))
    menu = (root / "boot/grub/grub.cfg").read_text()
    imaged.modules.racksalt_target.release()
    assert victim.read_text() == "of the live system"
    assert re.findall(r" ro (.*)$", menu, re.MULTILINE) == [""] * len(KERNELS)
    assert "serial" not in menu


def test_the_minion_is_made_and_the_network_told(imaged):
    """The last thing; without a network in the pillar the image's own is left, and that is said."""
    done = imaged.modules.racksalt_disk.carry_out("configure")
    assert "left as the image has it" in done["changes"]["network"]
    assert done["changes"]["minion"]["key_sha256"]
    assert HASHED not in str(done)
    again = imaged.states.racksalt_disk.configured(name="c")
    assert (again.result, again.changes) == (True, {})


def test_test_mode_writes_nothing(imaged):
    """What would be done is told, with no secret in it."""
    told = imaged.states.racksalt_disk.configured(name="c", test=True)
    assert told.result is None
    assert told.changes["users"]["ada"] == {"ssh_keys": 1, "sudo": True}
    assert HASHED not in str(told.raw)
    root = Path(imaged.modules.racksalt_target.mount(read_only=True))
    assert not (root / "etc/hostname").exists()
    imaged.modules.racksalt_target.release()


def test_a_failure_leaves_nothing_mounted_and_the_next_try_goes_through(imaged):
    """An image without GRUB is named with the package; mended, the same boot finishes the stage."""
    root = Path(imaged.modules.racksalt_target.mount())
    (root / "usr/sbin/grub-install").rename(root / "usr/sbin/hidden")
    with pytest.raises(CommandExecutionError, match="no grub-install: its image lacks the package"):
        imaged.modules.racksalt_disk.carry_out("configure")
    assert str(root) not in Path("/proc/mounts").read_text()
    imaged.modules.racksalt_target.mount()
    (root / "usr/sbin/hidden").rename(root / "usr/sbin/grub-install")
    assert imaged.modules.racksalt_disk.plan("configure")["done"] is False
    assert imaged.modules.racksalt_disk.carry_out("configure")["changes"]["minion"]


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"name": "ada; rm -rf /"}, "is no name for a user"),
        ({"name": "ada", "ssh_keys": ["secret words"]}, "that is no public key"),
        ({"name": "ada", "ssh_keys": [f"{KEY}\nssh-rsa AAAA"]}, "that is no public key"),
        ({"name": "ada", "password_hash": "hunter2"}, "is no hash of crypt"),
        ({"name": "ada", "password_hash": "$6$x$short:0:0\nroot:"}, "is no hash of crypt"),
    ],
)
def test_users_that_make_no_sense_are_refused_before_anything_is_done(machine, user, told):
    """The message names the user and never repeats a password."""
    _pillar(machine, {"users": [user]})
    with pytest.raises(CommandExecutionError, match=told) as error:
        machine.modules.racksalt_disk.carry_out("configure")
    assert "hunter2" not in str(error.value)


def test_a_link_that_leads_out_of_the_system_is_not_followed(imaged, tmp_path):
    """A folder of the image that is a link to the live system is refused, and nothing is written there."""
    root = Path(imaged.modules.racksalt_target.mount())
    (root / "etc/systemd").mkdir()
    (root / "etc/systemd/timesyncd.conf.d").symlink_to(tmp_path)
    with pytest.raises(CommandExecutionError, match="leads out of the installed system"):
        imaged.modules.racksalt_disk.carry_out("configure")
    assert list(tmp_path.iterdir()) == []
