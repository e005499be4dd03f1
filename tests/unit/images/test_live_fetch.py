"""How the initial RAM disk fetches the live system, with the real busybox and a server that is not always well."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from racksalt.images.recipe import folder
from tests.support.needs import need

FETCH = folder() / "live/initramfs/usr/lib/racksalt/fetch"
IMAGE = bytes(range(256)) * 4000
SUM = hashlib.sha256(IMAGE).hexdigest()


class Server(ThreadingHTTPServer):
    """Has one file. ``answers``: how many bytes each request is sent, or a status; the last is for all others."""

    def __init__(self, answers: list[int], image: bytes = IMAGE) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.image, self.begins = answers, image, []
        self.url = f"http://127.0.0.1:{self.server_port}/live.squashfs"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
        server.begins.append(begin)
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        whole = len(server.image)
        if answer == 503 or begin >= whole:
            self.send_error(answer if answer == 503 else 416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(whole - begin))
        self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.end_headers()
        self.wfile.write(server.image[begin : begin + answer])

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def fetch(tmp_path):
    """Run the script against a server; return the server, what it printed, and its file if that was taken."""
    need("busybox")
    servers: list[Server] = []

    def run(server: Server, before: bytes = b"") -> tuple[str, bytes | None]:
        servers.append(server)
        file = tmp_path / "file"
        if before:
            file.write_bytes(before)
        ran = subprocess.run(
            ["busybox", "sh", str(FETCH), server.url, SUM, str(file)],
            env={
                "PAUSE_S": "0",
                "STEP_S": "0",
                "LOG": str(tmp_path / "log"),
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not ran.stderr
        return ran.stdout, file.read_bytes() if ran.returncode == 0 else None

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_fetch_that_was_cut_off_goes_on_where_it_stopped(fetch, tmp_path):
    """However often: a thousand machines on one line would all begin anew for ever. What is cut off is told."""
    server = Server([100_000])
    assert fetch(server) == ("", IMAGE)
    assert server.begins == list(range(0, len(IMAGE), 100_000))
    assert "stopped at byte 100000" in (tmp_path / "log").read_text()


def test_a_server_that_is_busy_costs_nothing_of_what_is_there(fetch):
    """It is asked again, for the rest alone."""
    server = Server([600_000, 503, len(IMAGE)])
    assert fetch(server) == ("", IMAGE)
    assert server.begins == [0, 600_000, 600_000]


@pytest.mark.parametrize(
    "length", [1000, len(IMAGE), len(IMAGE) + 5], ids=["part", "whole", "more"]
)
def test_a_wrong_part_is_thrown_away(fetch, length):
    """Whether the rest fits it or there is no rest: it begins anew, once."""
    server = Server([len(IMAGE)])
    assert fetch(server, b"x" * length) == ("", IMAGE)
    assert server.begins == [length, 0]


def test_what_is_wrong_as_a_whole_is_not_asked_for_again(fetch):
    """Another image, or one that somebody has put there: the boot script may be another one after the restart."""
    server = Server([len(IMAGE)], image=b"evil" + IMAGE)
    server.answers = [len(server.image)]
    told, file = fetch(server)
    assert file is None
    assert "is not what the boot script promised (sha256 " in told
    assert server.begins == [0]


def test_what_is_wrong_in_parts_is_asked_for_twice_at_most(fetch):
    """Each part is progress, and yet it would go on for ever."""
    told, file = fetch(Server([600_000], image=b"evil" + IMAGE))
    assert file is None
    assert "is not what the boot script promised" in told


def test_it_gives_up_after_six_tries_that_brought_nothing(fetch):
    """And says what the server said."""
    server = Server([503])
    told, file = fetch(server)
    assert file is None
    assert "cannot fetch http" in told
    assert "503" in told
    assert len(server.begins) == 6
