"""Laws of boot scripts, found by running them in the lab's iPXE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.boot import script
from racksalt.lab import ipxe

BASE = "http://10.0.0.1:8800"
ASK = f"{BASE}/v1/boot/script?mac=52-54-00-00-00-01&serial=SN%201"
IMAGE = script.Image(kernel_url=f"{BASE}/vmlinuz", initrd_url=f"{BASE}/live.img")
WHO = script.Introduction(
    node="n1",
    boot=3,
    token="0" * 64,
    base_url=BASE,
    master="10.0.0.1:4506",
    master_finger=":".join(["ab"] * 32),
)
SCRIPTS = {
    "live": script.live_script(IMAGE, WHO, ASK),
    "installer": script.installer_script(IMAGE, WHO, ASK),
    "local": script.local_script("n1", efi_loader_url=f"{BASE}/local.efi"),
    "hold": script.hold_script(ASK, why="waiting"),
    "introduce": script.introduce_script(BASE),
}
MACHINE = {
    "mac": "52:54:00:00:00:01",
    "uuid": "4c4c4544-0051-3010-8057-b7c04f4d3533",
    "serial": "S&N #1",
    "buildarch": "x86_64",
    "platform": "pcbios",
}


def run(text, works):
    """Run a script where each attempt works as ``works()`` says; return all that it did."""
    running, answer, done = ipxe.interpret(ipxe.Interpreter(MACHINE), text), None, []
    while len(done) < 2000:
        try:
            action = running.send(answer)
        except StopIteration as end:
            return done, end.value
        done.append(action)
        answer = True
        if isinstance(action, ipxe.Load | ipxe.Fetch | ipxe.BootDisk | ipxe.BootKernel):
            worked = works()
            if worked and not isinstance(action, ipxe.Load):
                return done, True
            answer = worked if not isinstance(action, ipxe.Fetch) else None
    raise AssertionError("the script never ends")


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_where_nothing_works_the_firmware_gets_the_machine_back(name):
    """Images, disk and boot API out of reach: the script waits in between and in the end leaves."""
    done, ended_well = run(SCRIPTS[name], lambda: False)
    assert ended_well
    asked = [action for action in done if isinstance(action, ipxe.Fetch)]
    waited_s = sum(action.seconds for action in done if isinstance(action, ipxe.Wait))
    if name == "local":
        assert [type(action) for action in done] == [ipxe.BootDisk]
    else:
        assert len(asked) == script.ASK_TRIES
        assert waited_s >= script.ASK_TRIES * script.PAUSE_S


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_where_everything_works_the_script_does_its_one_thing(name):
    """Each script comes to its point at the first try."""
    done, _ = run(SCRIPTS[name], lambda: True)
    wanted = {
        "live": ipxe.BootKernel,
        "installer": ipxe.BootKernel,
        "local": ipxe.BootDisk,
        "hold": ipxe.Fetch,
        "introduce": ipxe.Fetch,
    }
    assert isinstance(done[-1], wanted[name])


def test_a_machine_introduces_itself_with_its_own_values():
    """What iPXE fills in arrives encoded, so that a serial number cannot add parameters."""
    done, _ = run(SCRIPTS["introduce"], lambda: True)
    assert done[-1].url == (
        f"{BASE}/v1/boot/script?mac=52-54-00-00-00-01&uuid={MACHINE['uuid']}"
        "&serial=S%26N%20%231&arch=x86_64"
    )


@given(st.sampled_from(list(SCRIPTS)), st.lists(st.booleans(), max_size=60))
def test_whatever_fails_in_between_no_script_ends_at_a_prompt(name, luck):
    """Any pattern of failures ends in a boot, a new script, or the firmware's boot order."""
    attempts = iter(luck)
    done, ended_well = run(SCRIPTS[name], lambda: next(attempts, True))
    assert ended_well
    assert done


@given(st.lists(st.booleans(), max_size=30))
def test_a_kernel_is_never_booted_without_its_ram_disk(luck):
    """The boot command comes right after both images have arrived."""
    attempts = iter(luck)
    results = []

    def works():
        results.append(next(attempts, True))
        return results[-1]

    done, _ = run(SCRIPTS["live"], works)
    tried = [a for a in done if isinstance(a, ipxe.Load | ipxe.Fetch | ipxe.BootKernel)]
    for place, action in enumerate(tried):
        if isinstance(action, ipxe.BootKernel):
            assert [type(a) for a in tried[place - 2 : place]] == [ipxe.Load, ipxe.Load]
            assert results[place - 2 : place] == [True, True]
