"""What of the boot API an installation asks for: tokens of first boots, and the files of one image."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from pathlib import Path

ENROLMENT = "e" * 64


IMAGES = ("/images/os/tiny/1/", "/images/os/tiny/current/")


class _BootApi(http.server.BaseHTTPRequestHandler):
    folder: Path | None = None
    asked: list[str] | None = None

    def do_GET(self):
        """Give a file of the image."""
        if self.asked is not None:
            self.asked.append(self.path)
        known = self.folder is not None and self.path.startswith(IMAGES)
        file = Path(self.folder, Path(self.path).name) if known else None
        self.send_response(200 if file and file.is_file() else 404)
        self.end_headers()
        if file and file.is_file():
            self.wfile.write(file.read_bytes())

    def do_POST(self):
        """Give any token the token of a first boot."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": ENROLMENT, "expires_at": 2e9}).encode())

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def boot_api(folder: Path | None = None, asked: list[str] | None = None):
    """Serve on a free port of loopback, with the image in ``folder``; give the address. ``asked`` gets each path."""
    handler = type("_Stub", (_BootApi,), {"folder": folder, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
