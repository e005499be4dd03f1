from __future__ import annotations

from pathlib import Path

from racksalt.lab.qemu.accel import boots, choose
from tests.support.needs import need


def test_without_the_device_or_a_kernel_to_try_nothing_is_assumed(tmp_path):
    """Translation is taken where KVM cannot be tried."""
    kernel = tmp_path / "vmlinuz"
    assert choose(kernel, device=Path("/dev/null")) == "tcg"
    kernel.write_bytes(b"x")
    assert choose(kernel, device=tmp_path / "no-kvm") == "tcg"


def test_a_device_that_opens_is_not_enough(tmp_path):
    """What decides is a guest that boots: here one has no kernel in its kernel's file."""
    need("qemu-system-x86_64")
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(b"this is no kernel" * 1000)
    assert choose(kernel, device=Path("/dev/null"), timeout_s=5) == "tcg"


def test_a_guest_that_hangs_does_not_boot(tmp_path):
    """The probe ends by itself and says no."""
    need("qemu-system-x86_64")
    assert not boots(tmp_path / "no-kernel", "tcg", timeout_s=5)
