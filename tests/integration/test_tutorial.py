"""The tutorial, carried out: the demo as a person starts it, and every command of the page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support import source

PAGE = source.text(source.Path("docs/tutorial/first-rack.md"))
BIN = Path(sys.executable).parent
REFUSED = "racksalt node install n8-bad-disk"
"""The one command that the page shows in order to be refused."""
LIST = "racksalt node list --json"

pytestmark = [pytest.mark.daemons, pytest.mark.slow, pytest.mark.timeout(600)]


def _commands() -> list[str]:
    page = re.sub(r"<!-- recorded:.*?<!-- /recorded", "", PAGE, flags=re.DOTALL)
    return re.findall(r"^\$ ((?:racksalt|salt) .*)$", page, re.MULTILINE)


class Demo:
    """A running demo and what it has printed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [BIN / "racksalt", "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=source.ROOT,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return "".join(self._lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines.extend(iter(self._process.stdout.readline, ""))

    def wait_for(self, text: str, timeout_s: float) -> None:
        """Return when it has printed ``text``; fail if it ends before."""
        end = time.monotonic() + timeout_s
        while text not in self.output:
            assert self._process.poll() is None, self.output
            assert time.monotonic() < end, f"no {text!r} within {timeout_s} s:\n{self.output}"
            time.sleep(0.2)

    def interrupt(self) -> int:
        """Press Ctrl-C, once; return its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        status = self._process.wait(60)
        self._reader.join()
        self._process.stdout.close()
        return status


@pytest.fixture(scope="module")
def demo():
    """The demo, up and settled; its end is a test of its own."""
    running = Demo()
    try:
        running.wait_for("Ctrl-C ends it", 300)
        yield running
    finally:
        running.interrupt()


@pytest.fixture(scope="module")
def run(demo):
    """Run one command of the page; return its status and output."""
    root = re.search(r"below (\S+)", demo.output)[1]
    environment = {
        **os.environ,
        "RACKSALT_SETTINGS": f"{root}/racksalt.yaml",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }

    def _run(command: str) -> tuple[int, str]:
        ran = subprocess.run(
            command.replace("/tmp/racksalt-demo", root),
            shell=True,
            cwd=source.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return ran.returncode, ran.stdout + ran.stderr

    return _run


def _watch(run):
    """Do what a person does at `racksalt watch`: look until every node has arrived."""
    status, output = run("racksalt watch --seconds 1")
    assert status == 0, output
    end = time.monotonic() + 200
    while True:
        nodes = {node["id"]: node["state"] for node in json.loads(run(LIST)[1])}
        if all(state in ("ready", "problem") for state in nodes.values()):
            break
        assert time.monotonic() < end, nodes
        time.sleep(1)
    assert [node for node, state in nodes.items() if state == "problem"] == ["n8-bad-disk"]


def test_every_command_of_the_tutorial_works(run):
    """Each command succeeds; the one that is shown to be refused is, and says what is legal."""
    commands = _commands()
    assert len(commands) >= 14
    for command in commands:
        if command == "racksalt watch":
            _watch(run)
            continue
        status, output = run(command)
        assert status == (1 if command == REFUSED else 0), f"{command}\n{output}"
        if command == REFUSED:
            assert "does not accept" in output


def test_the_node_that_the_page_reinstalls_went_through_its_life_again(run):
    """The page's last command led from ready over the installer to ready."""
    history = json.loads(run("racksalt node history n1 --json")[1])
    states = [entry["to_state"] for entry in history if entry["kind"] == "transition"]
    assert [entry["event"] for entry in history].count("reinstall") == 1
    assert states[0] == "ready"
    assert states.index("enrolling") < states.index("installing")


def test_the_query_of_the_tutorial_is_answered(demo):
    """With the token that the demo made, GraphQL answers what the page asks."""
    query = re.search(r"```graphql\n(.*?)```", PAGE, re.DOTALL)[1]
    url, file = re.search(r"GraphQL +(\S+) \(a token is in (\S+)\)", demo.output).groups()
    request = urllib.request.Request(
        url,
        json.dumps({"query": query}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {Path(file).read_text()}",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found = json.load(answer)
    assert [zone["name"] for zone in found["data"]["zones"]] == ["z1", "z2"]


def test_ctrl_c_leaves_nothing_running(demo):
    """The demo ends with status 0 and says that nothing is left."""
    assert demo.interrupt() == 0, demo.output
    assert "nothing is left running" in demo.output
