"""The enrolment resource of the boot API, for nodes whose boots are no part of the test."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager

ENROLMENT = "e" * 64


class _BootApi(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        """Give any token the token of a first boot."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": ENROLMENT, "expires_at": 2e9}).encode())

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def boot_api():
    """Serve on a free port of loopback; give the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _BootApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
