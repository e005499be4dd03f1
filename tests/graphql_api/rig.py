"""A GraphQL application over a real store and real operations, with a site of two zones."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import anyio
from starlette.testclient import TestClient

from graphql_api.app import create_app
from graphql_api.auth import SCOPES
from racksalt.bootstrap import open_app
from racksalt.model.node import Address, Bmc, Disk, Hardware
from racksalt.settings import Settings
from tests.support.sites import a_site

NODES = ("n1", "n2", "n3", "n4")
RACKS = {"r1": "z1", "r2": "z2"}
LAYERS = {
    "global/base.sls": {"ntp": {"servers": ["10.0.0.1"]}, "timezone": "UTC"},
    "rack/r1.sls": {"timezone": "Europe/Paris"},
    "node/n1.sls": {"bmc_password": "hunter2", "db": "postgresql://u:hunter2@h/db"},
}
NETWORKS = {"admin": {"purpose": "admin", "zone": "z1", "cidr_v4": "10.1.0.0/16"}}


class Rig:
    """``site`` is the opened racksalt, ``client`` speaks HTTP and WebSocket to the started application."""

    def __init__(self, folder, **site):
        pillar = a_site(
            folder,
            racks=site.pop("racks", RACKS),
            nodes=site.pop("nodes", NODES),
            layers=LAYERS,
            networks=NETWORKS,
            **site,
        )
        self.site = open_app(
            Settings(
                database=f"sqlite:///{folder}/racksalt.db",
                secrets=str(folder / "secrets"),
                site=str(pillar),
            )
        )
        self.site.operations.declare()
        self.store = self.site.store
        self.web = create_app(self.site)
        self.client = TestClient(self.web, raise_server_exceptions=False)
        self.tokens = {}

    @property
    def services(self):
        """Return what the application holds."""
        return self.web.state.services

    def equip(self):
        """Give every node hardware, a disk, a BMC and an address on its NIC."""
        found = self.store.topology()
        nics = {nic.node: nic for nic in found["nics"]}
        with self.store.write() as tx:
            for number, node in enumerate(found["nodes"]):
                name = node.id
                known = next(one for one in found["hardware"] if one.node == name)
                tx.put([replace(known, product="X1", memory_mib=1024 * (number + 1), cpu_cores=8)])
                tx.put([Disk(id=f"{name}/sda", node=name, name="sda", size_gb=960, media="ssd")])
                tx.put(
                    [
                        Bmc(
                            node=name,
                            protocol="ipmi",
                            address=f"10.9.0.{number}",
                            port=623,
                            username="admin",
                            secret="the-secret",
                        )
                    ]
                )
                tx.put(
                    [
                        Address(
                            id=f"{name}/a",
                            node=name,
                            nic=nics[name].id,
                            network="admin",
                            address=f"10.1.0.{number + 1}",
                            family=4,
                        )
                    ]
                )
        assert isinstance(known, Hardware)

    def token(self, *scopes, expires_in_s=3600):
        """Return the bearer text of a token with these scopes (all without any)."""
        wanted = scopes or SCOPES
        key = (wanted, expires_in_s)
        if key not in self.tokens:
            made = self.site.operations.token_create("tester", list(wanted), expires_in_s)
            self.tokens[key] = made["secret"]
        return self.tokens[key]

    def headers(self, *scopes):
        """Return the header that carries such a token."""
        return {"authorization": f"Bearer {self.token(*scopes)}"}

    def until(self, condition, seconds=10):
        """Wait until ``condition()`` is true, looking at it in the server's event loop."""

        async def wait():
            with anyio.fail_after(seconds):
                while not condition():  # noqa: ASYNC110  what is waited for has no event
                    await anyio.sleep(0.005)

        self.client.portal.call(wait)

    def post(self, query, variables=None, *, scopes=(), **more):
        """Send one operation; return the decoded answer."""
        body = {"query": query, "variables": variables or {}, **more}
        return self.client.post("/graphql", json=body, headers=self.headers(*scopes)).json()

    def ask(self, query, variables=None, *, scopes=()):
        """Send one operation that must succeed; return its data."""
        answer = self.post(query, variables, scopes=scopes)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def code(self, query, variables=None, *, scopes=()):
        """Send one operation that must fail; return the code of its first error."""
        answer = self.post(query, variables, scopes=scopes)
        return answer["errors"][0]["extensions"]["code"]


@contextmanager
def running(folder, *, equipped=True, **site):
    """Give a started rig; everything is closed at the end."""
    rig = Rig(folder, **site)
    try:
        if equipped:
            rig.equip()
        with rig.client:
            yield rig
    finally:
        rig.site.close()
