"""A ``FakeWorld`` behind a TCP port, for conductors in other processes: what ``racksalt.adapters.lab_link`` speaks."""

from __future__ import annotations

import contextlib
import itertools
import json
import socketserver
import threading
from types import SimpleNamespace

from racksalt.conductor.ports import JobRequest


class _Handler(socketserver.StreamRequestHandler):
    """One connection; ``caller`` tells conductors apart."""

    def handle(self):
        """Answer line by line."""
        caller = next(self.server.callers)
        # A conductor that is killed resets its connections.
        with contextlib.suppress(ConnectionError):
            for line in self.rfile:
                request = json.loads(line)
                answer = self.server.obey(caller, request)
                self.wfile.write(json.dumps({"n": request["n"], "ok": answer}).encode() + b"\n")


class LabServer(socketserver.ThreadingTCPServer):
    """Serves one world. ``log`` has every power call as (node, what, caller), in order."""

    daemon_threads = True

    def __init__(self, world):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world, self.log, self.callers = world, [], itertools.count(1)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_error):
        """Close."""
        self.shutdown()
        self.server_close()
        self._thread.join(10)

    @property
    def address(self):
        """Return ``host:port``."""
        return f"127.0.0.1:{self.server_address[1]}"

    def obey(self, caller, request):
        """Do what a conductor asks."""
        with self._lock:
            return getattr(self, f"_{request['op']}")(caller, request)

    def _power(self, caller, request, what):
        self.log.append((request["node"], what, caller))
        return SimpleNamespace(node=request["node"])

    def _observe(self, caller, request):
        return self.world.power.observe(self._power(caller, request, "observe"))

    def _on(self, caller, request):
        self.world.power.on(self._power(caller, request, "on"))

    def _off(self, caller, request):
        self.world.power.off(self._power(caller, request, "off"))

    def _boot_next(self, caller, request):
        self.world.power.boot_next(self._power(caller, request, "boot"), request["device"])

    def _submit(self, _caller, request):
        self.world.jobs.submit([JobRequest(sls="", **job) for job in request["jobs"]])
        return []

    def _results(self, _caller, request):
        found = self.world.jobs.results([tuple(pair) for pair in request["wanted"]])
        return [{"jid": r.jid, "node": r.node, "ok": r.ok, "message": r.message} for r in found]

    def _outcomes(self, _caller, request):
        known = self.world.jobs.outcomes([tuple(pair) for pair in request["wanted"]], 1)
        return [[jid, node, outcome] for (jid, node), outcome in known.items()]

    def _answering(self, _caller, request):
        return sorted(self.world.jobs.answering(dict.fromkeys(request["nodes"], 0.0), 1))
