"""iPXE scripts."""

from __future__ import annotations

import re

import pytest

from racksalt.boot import script
from racksalt.model.errors import InvalidInputError

ASK = "http://10.0.0.1:8000/v1/boot/script?mac=52-54-00-00-00-01&serial=SN%201"
FINGER = ":".join(["ab"] * 32)
IMAGE = script.Image(
    kernel_url="http://10.0.0.1/x86_64/vmlinuz",
    initrd_url="http://10.0.0.1/x86_64/live.img",
    extra_args="console=ttyS0,115200 quiet",
)


def an_introduction(**changes):
    """Build what a booting node is told."""
    told = {
        "node": "n1",
        "boot": 3,
        "token": "0" * 64,
        "base_url": "http://10.0.0.1:8000",
        "master": "10.0.0.1:4506",
        "master_finger": FINGER,
    }
    return script.Introduction(**{**told, **changes})


def every_script():
    """Return one of each, by name."""
    return {
        "live": script.live_script(IMAGE, an_introduction(), ASK),
        "installer": script.installer_script(IMAGE, an_introduction(), ASK),
        "local": script.local_script("n1"),
        "local_efi": script.local_script("n1", efi_loader_url="http://10.0.0.1/grub.efi"),
        "hold": script.hold_script(ASK, why="waiting for approval"),
        "introduce": script.introduce_script("http://10.0.0.1:8000"),
    }


@pytest.mark.parametrize("name", list(every_script()))
def test_every_script_ends_in_a_fallback(name):
    """A script asks again (but for a local boot) and ends by handing back to the firmware."""
    lines = every_script()[name].splitlines()
    assert lines[0] == "#!ipxe"
    assert lines[-1] == "exit"
    asks = [x for x in lines if x.startswith("chain --replace http") and x.endswith(" ||")]
    assert asks or name == "local"


@pytest.mark.parametrize("name", list(every_script()))
def test_no_command_that_can_fail_ends_the_script(name):
    """Each command that talks to the network or a disk says what happens when it fails."""
    for line in every_script()[name].splitlines():
        if line.split(" ")[0] in {"kernel", "initrd", "boot", "chain", "sanboot", "iseq"}:
            assert "||" in line, line


@pytest.mark.parametrize("name", list(every_script()))
def test_every_jump_has_its_label(name):
    """No script jumps to a label that it does not have, and none has a label twice."""
    text = every_script()[name]
    labels = re.findall(r"^:(\w+)$", text, re.MULTILINE)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"goto (\w+)", text)) <= set(labels)


@pytest.mark.parametrize("environment", ["live", "installer"])
def test_the_kernel_is_told_all_it_needs(environment):
    """The kernel's arguments carry node, boot, environment, token, boot API and pinned master."""
    kernel = next(x for x in every_script()[environment].splitlines() if x.startswith("kernel "))
    assert kernel == (
        "kernel http://10.0.0.1/x86_64/vmlinuz initrd=racksalt.img racksalt.node=n1 "
        f"racksalt.boot=3 racksalt.environment={environment} racksalt.token={'0' * 64} "
        "racksalt.url=http://10.0.0.1:8000 racksalt.master=10.0.0.1:4506 "
        f"racksalt.master_finger={FINGER} console=ttyS0,115200 quiet || goto wait"
    )


def test_local_boots_the_first_disk():
    """A node that boots locally goes to its first disk, or on in its boot order."""
    assert "sanboot --no-describe --drive 0x80 || exit" in every_script()["local"].splitlines()


@pytest.mark.parametrize(
    "bad",
    [
        "a b",
        "a\nshell",
        "${net0/mac}",
        'x" || shell',
        "a||b",
        "a#b",
        "",
        "x;y",
    ],
)
def test_nothing_that_ipxe_obeys_gets_into_a_script(bad):
    """Spaces, line ends, variables, operators and comments are refused wherever text goes in."""
    for build in (
        lambda: script.Image(kernel_url=f"http://h/{bad} x", initrd_url="http://h/i"),
        lambda: script.Image(kernel_url="http://h/k", initrd_url=f"http://h/{bad}${{x}}"),
        lambda: an_introduction(node=bad),
        lambda: an_introduction(token=bad),
        lambda: an_introduction(base_url=bad),
        lambda: an_introduction(master=bad),
        lambda: an_introduction(master_finger=bad or "x"),
        lambda: script.local_script(bad),
        lambda: script.hold_script(bad),
        lambda: script.local_script("n1", efi_loader_url=f"{bad} "),
    ):
        with pytest.raises(InvalidInputError):
            build()


def test_a_reason_is_shown_without_what_ipxe_obeys():
    """The console shows why a machine is held, with dangerous characters left out."""
    shown = script.hold_script(ASK, why="serial ${x}\nshell && 'reboot' || #")
    assert "echo racksalt: serial xshell  reboot" in shown.splitlines()


def test_a_refused_token_is_not_shown():
    """The error about a malformed token does not repeat it."""
    with pytest.raises(InvalidInputError) as caught:
        an_introduction(token="s3cret")
    assert "s3cret" not in str(caught.value)
    assert "0" * 64 not in repr(an_introduction())


@pytest.mark.parametrize(
    ("told", "arch"),
    [("i386", "x86_64"), ("x86_64", "x86_64"), ("", "x86_64"), ("arm64", "arm64")],
)
def test_the_build_of_ipxe_tells_the_architecture(told, arch):
    """The 32 bit BIOS build stands for x86_64, since it boots 64 bit kernels."""
    assert script.arch_of(told) == arch


def test_an_architecture_without_images_is_refused():
    """An architecture that racksalt has no images for is named in the error."""
    with pytest.raises(InvalidInputError, match="riscv64"):
        script.arch_of("riscv64")
