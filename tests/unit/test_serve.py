"""Both APIs in one process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from racksalt.lab.processes import free_ports
from racksalt.settings import BootApi, GraphqlApi
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


def _get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def _wait(url, process, timeout_s=30):
    end = time.monotonic() + timeout_s
    while True:
        try:
            return _get(url)
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "it ended"
            assert time.monotonic() < end, f"{url} did not answer"
            time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_apis_answer_and_end_when_told(home, number):
    """Each on its port; either signal ends both, with exit status 0."""
    boot, graphql = free_ports(2)
    home.change(boot_api=BootApi(port=boot), graphql=GraphqlApi(port=graphql))
    process = subprocess.Popen(
        [sys.executable, "-m", "racksalt", "--settings", home.settings_file, "serve"]
    )
    try:
        health = json.loads(_wait(f"http://127.0.0.1:{boot}/healthz", process))
        assert health["status"] == "ok"
        assert _wait(f"http://127.0.0.1:{graphql}/healthz", process)
        script = _get(f"http://127.0.0.1:{boot}/v1/boot/script")
        assert script.startswith(b"#!ipxe")
        process.send_signal(number)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
