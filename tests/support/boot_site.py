"""A boot API over a real conductor and a real SQLite file; only the clock is the test's."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

from starlette.testclient import TestClient

from racksalt.boot import tokens
from racksalt.boot_api.app import application
from racksalt.boot_api.context import Context, Limits
from racksalt.conductor.conductor import Conductor
from racksalt.conductor.ports import World
from racksalt.conductor.view import Rules
from racksalt.model.event import Event
from racksalt.model.node import Hardware, Nic, Node
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.settings import BootApi, ConductorSettings, ImageSettings, Settings
from racksalt.store import Store

SECRET = b"a boot secret of the tests, 32 b"
BASE = "http://10.0.0.1:8800"
FINGER = ":".join(["ab"] * 32)
TTL_S = 3600.0


class BootSite:
    """One site: store, conductor and boot API. ``now`` is the time that all of them read."""

    def __init__(
        self,
        folder,
        limits=None,
        discovery_limit=256,
        effective=None,
        vouch=False,
        images="/nonexistent",
        additions=None,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.now = 1_000_000.0
        self.store = Store(f"sqlite:///{folder}/racksalt.db")
        rules = Rules(
            machine=MACHINE,
            sequences=Sequences(STAGES, SEQUENCES, MACHINE).extend(additions or {}),
            vouch=lambda _node, _event: vouch,
            token_ttl_s=TTL_S,
            deadline_factor=1.0,
            discovery_limit=discovery_limit,
        )
        world = World(clock=self.clock, power={}, jobs={}, keys=None, announcer=None)
        self.conductor = Conductor(self.store, lambda: rules, world, ConductorSettings(), SECRET)
        self.context = Context(
            settings=Settings(
                boot_api=BootApi(url=BASE, images=f"{BASE}/i", master_finger=FINGER),
                images=ImageSettings(folder=str(images)),
            ),
            store=self.store,
            conductor=self.conductor,
            machine=MACHINE,
            secret=SECRET,
            effective=effective,
            limits=limits or Limits(),
            clock=self.clock,
            monotonic=self.clock,
        )
        self.app = application(self.context)
        self._ids = itertools.count()

    def clock(self):
        """Return the test's time."""
        return self.now

    def close(self):
        """Stop the writer and close the database."""
        self.conductor.stop()
        self.context.close()
        self.store.close()

    def client(self, address="10.0.0.7"):
        """Return a client at ``address``; it shares the application with all others."""
        return TestClient(self.app, client=(address, 40000), raise_server_exceptions=False)

    def declare(self, node, mac, uuid=None, serial=None, **fields):
        """Write a node as the site's files declare it."""
        row = Node(
            id=node,
            state="declared",
            version=0,
            state_since=self.now,
            created_at=self.now,
            **fields,
        )
        with self.store.write() as tx:
            tx.add_nodes([row])
            tx.put([Nic(id=f"{node}/{mac}", node=node, name="pxe", mac=mac, pxe=True)])
            if uuid or serial:
                tx.put([Hardware(node=node, system_uuid=uuid, serial=serial)])

    def happen(self, node, event, source="operator", **data):
        """Hand an event to the conductor; return its outcome."""
        told = Event(
            id=f"test:{next(self._ids)}",
            node=node,
            name=event,
            at=self.now,
            source=source,
            data=data,
        )
        outcome = self.conductor.handle_wait(told)
        assert outcome.error is None, outcome.error
        return outcome

    def token(self, node, environment=None, generation=None):
        """Return the token of the node's present boot, or of another."""
        row = self.store.node(node)
        return tokens.derive(
            SECRET,
            node,
            row.boot if generation is None else generation,
            environment or row.boot_environment,
        )

    def refusals(self, node=None):
        """Return the messages of what was journalled as refused, oldest first."""
        found = [entry for entry in self.store.history(node, limit=1000) if entry.kind == "refused"]
        return [entry.message for entry in reversed(found)]


@contextmanager
def a_site(folder, **options):
    """Give a site, closed at the end."""
    site = BootSite(folder, **options)
    try:
        yield site
    finally:
        site.close()


def kernel_values(script):
    """Return the ``key=value`` arguments of a script's kernel line."""
    line = next(x for x in script.splitlines() if x.startswith("kernel "))
    return dict(word.split("=", 1) for word in line.split() if "=" in word)
