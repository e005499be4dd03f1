"""Both APIs, each in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from racksalt.lab.processes import answers, free_ports
from racksalt.settings import BootApi, GraphqlApi
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


USUAL_FILES = 128
"""A stand-in for the 1,024 open files that a process usually may have."""


def _get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def _wait(url, process, timeout_s=30):
    end = time.monotonic() + timeout_s
    while True:
        try:
            return _get(url)
        except OSError:
            assert process.poll() is None, "it ended"
            assert time.monotonic() < end, f"{url} did not answer"
            time.sleep(0.05)


@pytest.fixture
def serving(home):
    """Start both APIs; return the first process and their base addresses."""
    boot, graphql = free_ports(2)
    home.change(boot_api=BootApi(port=boot), graphql=GraphqlApi(port=graphql))
    program = [sys.executable, "-m", "racksalt", "--settings", str(home.settings_file), "serve"]
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"ulimit -Sn {USUAL_FILES}; exec {shlex.join(program)}"],
        stderr=subprocess.PIPE,
    )
    yield process, f"http://127.0.0.1:{boot}", f"http://127.0.0.1:{graphql}"
    process.terminate()
    try:
        process.wait(15)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _parts(process):
    """Return the process ids of boot API and GraphQL API, in the order in which they were started."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(pid) for pid in found.split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_apis_answer_and_end_when_told(serving, number):
    """Each on its port; either signal ends both, with exit status 0."""
    process, boot, graphql = serving
    health = json.loads(_wait(f"{boot}/healthz", process))
    assert health["status"] == "ok"
    assert _wait(f"{graphql}/healthz", process)
    script = _get(f"{boot}/v1/boot/script")
    assert script.startswith(b"#!ipxe")
    process.send_signal(number)
    assert process.wait(15) == 0


def test_machines_boot_whatever_becomes_of_the_other_api(serving):
    """GraphQL may stand still or be killed: scripts are answered, and GraphQL comes back by itself."""
    process, boot, graphql = serving
    _wait(f"{boot}/healthz", process)
    _wait(f"{graphql}/healthz", process)
    _, other = _parts(process)
    os.kill(other, signal.SIGSTOP)
    assert _get(f"{boot}/v1/boot/script").startswith(b"#!ipxe")
    os.kill(other, signal.SIGKILL)
    assert _get(f"{boot}/v1/boot/script").startswith(b"#!ipxe")
    assert _wait(f"{graphql}/healthz", process)
    assert other not in _parts(process)


def test_a_port_that_is_taken_is_told_and_ends_both(home):
    """Half a server would be found out too late."""
    boot, graphql = free_ports(2)
    home.change(boot_api=BootApi(port=boot), graphql=GraphqlApi(port=graphql))
    with socket.create_server(("127.0.0.1", graphql)):
        ended = subprocess.run(
            [sys.executable, "-m", "racksalt", "--settings", home.settings_file, "serve"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode > 0
    assert "address already in use" in ended.stderr
    assert not answers("127.0.0.1", boot)


def test_each_machine_may_keep_its_connection(serving):
    """More of them than the usual number of open files, and for longer than servers usually wait (5 s)."""
    process, boot, _ = serving
    _wait(f"{boot}/healthz", process)
    where = urllib.parse.urlsplit(boot)
    kept = [
        http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        for _ in range(2 * USUAL_FILES)
    ]
    with contextlib.ExitStack() as closing:
        for turn in range(2):
            for one in kept:
                closing.callback(one.close)
                one.auto_open = not turn
                one.request("GET", "/healthz")
                answer = one.getresponse()
                answer.read()
                assert (answer.status, answer.will_close) == (200, False), turn
            time.sleep(0 if turn else 6)
