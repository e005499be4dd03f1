"""The iPXE interpreter: what scripts do, and that none of them hangs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racksalt.boot import script as scripts
from racksalt.lab import ipxe

URL = "http://boot.example:8080"
ASK = f"{URL}/v1/boot/script?mac=x"
WHO = scripts.Introduction(
    node="n1",
    boot=3,
    token="a" * 64,
    base_url=URL,
    master="m:4506",
    master_finger="ab:" * 15 + "ab",
)
IMAGE = scripts.Image(kernel_url=f"{URL}/k", initrd_url=f"{URL}/i", extra_args="quiet")


def play(script, answers=None, variables=None, limit=400):
    """Run a script; answer each action by its type (default: it works). Return actions and result."""
    interpreter = ipxe.Interpreter(variables or {})
    running = ipxe.interpret(interpreter, script)
    answers = {ipxe.Fetch: None, **(answers or {})}
    actions, answer = [], None
    try:
        while len(actions) < limit:
            action = running.send(answer)
            actions.append(action)
            answer = answers.get(type(action), True)
            if callable(answer):
                answer = answer(action)
    except StopIteration as end:
        return actions, end.value
    return actions, "still running"


def test_a_live_script_boots_a_kernel_with_all_that_the_environment_needs():
    """The live script ends in a boot whose arguments name node, boot, token and master."""
    actions, _ = play(scripts.live_script(IMAGE, WHO, ASK), limit=3)
    assert actions[:2] == [ipxe.Load(f"{URL}/k"), ipxe.Load(f"{URL}/i")]
    values = actions[2].values()
    assert values["racksalt.node"] == "n1"
    assert values["racksalt.boot"] == "3"
    assert values["racksalt.environment"] == "live"
    assert values["racksalt.token"] == "a" * 64
    assert values["racksalt.master"] == "m:4506"
    assert "quiet" in actions[2].arguments


def test_an_image_that_cannot_be_had_is_tried_again_then_the_api_is_asked_anew():
    """Failing loads wait and repeat, then chain to the boot API, and end at the firmware."""
    actions, ok = play(scripts.live_script(IMAGE, WHO, ASK), {ipxe.Load: False})
    loads = [a for a in actions if isinstance(a, ipxe.Load)]
    fetches = [a for a in actions if isinstance(a, ipxe.Fetch)]
    assert len(loads) == scripts.IMAGE_TRIES
    assert fetches == [ipxe.Fetch(ASK)] * scripts.ASK_TRIES
    assert ok is True


def test_a_local_script_boots_the_disk_and_leaves_to_the_firmware_when_it_cannot():
    """``sanboot … || exit`` ends the script when nothing on the disk boots."""
    assert play(scripts.local_script("n1"), {ipxe.BootDisk: False}) == (
        [ipxe.BootDisk("0x80")],
        True,
    )


def test_a_hold_script_waits_and_asks_again():
    """A held machine sleeps and then runs what the boot API answers next, without growing the stack."""
    hold = scripts.hold_script(ASK, why="who are you")
    actions, state = play(hold, {ipxe.Fetch: lambda _: hold}, limit=300)
    assert state == "still running"
    assert actions[:3] == [
        ipxe.Say("racksalt: who are you"),
        ipxe.Wait(scripts.HOLD_S),
        ipxe.Fetch(ASK),
    ]
    assert sum(isinstance(a, ipxe.Fetch) for a in actions) == 100


def test_the_introduction_names_the_machine():
    """Variables and their formats are expanded as iPXE does."""
    variables = {
        "mac": "02:00:00:00:00:01",
        "uuid": "u-1",
        "serial": "a b/c",
        "buildarch": "x86_64",
    }
    actions, _ = play(scripts.introduce_script(URL), variables=variables, limit=2)
    assert actions[1].url.endswith("mac=02-00-00-00-00-01&uuid=u-1&serial=a%20b%2Fc&arch=x86_64")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("iseq a a && echo yes || echo no", ["yes"]),
        ("iseq a b && echo yes", []),
        ("iseq a b || echo no", ["no"]),
        ("isset ${nothing} || echo unset", ["unset"]),
        ("set x 4 && inc x 3 && echo ${x}", ["7"]),
        ("frobnicate || echo unknown", ["unknown"]),
        ("set a ${b} && echo '${a}'x", ["x"]),
        ("set who mac\necho ${${who}}", ["02"]),
    ],
)
def test_joints_and_variables(line, said):
    """``||`` and ``&&`` look at the command before them; variables nest."""
    actions, _ = play(f"#!ipxe\n{line}\n", variables={"mac": "02"})
    assert [a.text for a in actions] == said


def test_a_failing_command_ends_its_script_and_its_caller_sees_it():
    """An uncaught failure ends the script; a chained script's failure can be caught."""
    inner = "#!ipxe\niseq a b\necho never\n"
    actions, ok = play("#!ipxe\nchain x || echo caught\n", {ipxe.Fetch: inner})
    assert [a.text for a in actions if isinstance(a, ipxe.Say)] == ["caught"]
    assert ok is True


@pytest.mark.parametrize(
    "script",
    ["#!ipxe\n:a\ngoto a\n", "#!ipxe\n:a\niseq a b || goto a\n", "#!ipxe\nset a ${a}${a}x\n" * 50],
)
def test_a_loop_without_a_wait_ends(script):
    """A script that spins is ended as failed."""
    actions, ok = play(script)
    assert ok in {True, False}
    assert not actions


COMMANDS = st.sampled_from(
    ["goto", "kernel", "boot", "chain", "sanboot", "exit", "set", "inc", "iseq", "sleep", "echo"]
)
WORDS = st.sampled_from(
    ["a", "b", ":a", "--replace", "--drive", "${a}", "${${a}}", "||", "&&", "'", "9" * 40]
)
LINES = st.lists(st.builds(lambda c, w: " ".join([c, *w]), COMMANDS, st.lists(WORDS, max_size=5)))


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=300), LINES.map("\n".join)), st.booleans())
def test_junk_never_hangs_or_breaks_the_interpreter(body, works):
    """Any text ends, or keeps acting on the outside; it neither raises nor spins."""
    script = "#!ipxe\n:a\n" + body
    kinds = (ipxe.Load, ipxe.BootKernel, ipxe.BootDisk, ipxe.Wait)
    answers = dict.fromkeys(kinds, works)
    _, ok = play(script, {**answers, ipxe.Fetch: script if works else None}, limit=200)
    assert ok in {True, False, "still running"}
