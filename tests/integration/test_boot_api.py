"""The boot API over real sockets, the real conductor and a real database, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace

import httpx
import pytest

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import open_app, settings_from
from racksalt.lab import ipxe
from racksalt.settings import BootApi, Settings
from racksalt.store import Store
from tests.support.boot_process import BootProcess
from tests.support.boot_site import FINGER, kernel_values
from tests.support.sites import a_site

pytestmark = pytest.mark.daemons
NODES = 60


@pytest.fixture
def folder(tmp_path):
    """Give a folder with settings and a site that lets anybody in."""
    site = a_site(tmp_path, policy={"approve": "auto", "approve_limit": 1000, "goal": "ready"})
    settings = Settings(
        database=f"sqlite:///{tmp_path}/racksalt.db",
        secrets=str(tmp_path / "secrets"),
        site=str(site),
        boot_api=BootApi(master_finger=FINGER),
    )
    write_settings(tmp_path / "racksalt.yaml", settings)
    return tmp_path


@pytest.fixture
def server(folder):
    """Give the boot API as a running process."""
    process = BootProcess(folder)
    process.start()
    yield process
    process.stop()


def identity(number):
    """Return the query of one machine."""
    mac = f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"
    return {"mac": mac, "uuid": f"4c4c4544-0051-3010-8057-{number:012x}", "serial": f"SN{number}"}


def inventory(number):
    """Return what this machine reports."""
    who = identity(number)
    nics = [{"name": "eth0", "mac": who["mac"], "speed_mbps": 1000, "pxe": True}]
    found = {"serial": who["serial"], "system_uuid": who["uuid"], "memory_mib": 1024, "nics": nics}
    return {"id": f"report-{number}", "event": "inventory_reported", "data": found}


async def until_answered(client, method, url, **more):
    """Repeat a request until it is answered with less than 500, as a node does."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.request(method, url, **more)
            if answer.status_code < 500:
                return answer
        await asyncio.sleep(0.05)


async def come_up(client, base, number, acknowledged):
    """Boot one machine and report its inventory; keep what was acknowledged."""
    script = await until_answered(client, "GET", f"{base}/v1/boot/script", params=identity(number))
    told = kernel_values(script.text)
    answer = await until_answered(
        client,
        "POST",
        f"{base}/v1/nodes/{told['racksalt.node']}/reports",
        headers={"Authorization": f"Bearer {told['racksalt.token']}"},
        content=json.dumps(inventory(number)),
    )
    assert answer.status_code == 200, answer.text
    acknowledged.keep(told["racksalt.node"], answer.json()["seq"], told["racksalt.token"])


class Acknowledged(dict):
    """Journal number and token by node; ``at`` tells when so many were acknowledged."""

    def __init__(self, *counts):
        super().__init__()
        self.at = {count: asyncio.Event() for count in counts}

    def keep(self, node, seq, token):
        """Keep one acknowledgement."""
        self[node] = (seq, token)
        if len(self) in self.at:
            self.at[len(self)].set()


def test_what_was_acknowledged_survives_a_kill(folder, server):
    """Killed twice while machines come up: nothing acknowledged is lost, nothing happens twice."""
    acknowledged = Acknowledged(NODES // 5, NODES // 2)

    async def run():
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(timeout=20, limits=limits) as client:
            tasks = [
                asyncio.create_task(come_up(client, server.url, number, acknowledged))
                for number in range(1, NODES + 1)
            ]
            for reached in acknowledged.at.values():
                await reached.wait()
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.gather(*tasks)

    asyncio.run(run())
    assert len(acknowledged) == NODES
    server.stop()
    store = Store(f"sqlite:///{folder}/racksalt.db")
    entries = store.journal(limit=100_000)
    by_event = [entry for entry in entries if entry.event_id.startswith("boot:")]
    assert len(by_event) == len({entry.event_id for entry in by_event}) == NODES
    for entry in by_event:
        assert acknowledged[entry.node][0] == entry.seq
        assert store.node(entry.node).state == "commissioning"
    store.close()
    nowhere_in_files(folder, [token for _, token in acknowledged.values()])


def nowhere_in_files(folder, tokens):
    """Check that no file of the installation holds a token: no log, no database, no setting."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [token for token in tokens if token.encode() in content], path


def test_the_answer_to_a_repeated_report_is_the_first_one(server):
    """A report that is sent again after a restart is answered with its first journal number."""
    acknowledged = Acknowledged()

    async def once():
        async with httpx.AsyncClient(timeout=20) as client:
            await come_up(client, server.url, 1, acknowledged)

    asyncio.run(once())
    ((node, (seq, token)),) = acknowledged.items()
    server.kill()
    server.start()
    answer = httpx.post(
        f"{server.url}/v1/nodes/{node}/reports",
        headers={"Authorization": f"Bearer {token}"},
        content=json.dumps(inventory(1)),
    )
    assert answer.json() == {"seq": seq, "state": "commissioning", "kind": "repeated"}


def test_a_machine_in_a_hold_script_goes_on_by_itself(folder, server):
    """The lab's iPXE, held because the node is retired, boots as soon as a person commissions it."""
    app = open_app(settings_from(folder / "racksalt.yaml"))
    try:
        query = identity(1)
        first = httpx.get(f"{server.url}/v1/boot/script", params=query).text
        node = kernel_values(first)["racksalt.node"]
        httpx.post(
            f"{server.url}/v1/nodes/{node}/reports",
            headers={"Authorization": f"Bearer {kernel_values(first)['racksalt.token']}"},
            content=json.dumps({"id": "a", "event": "progress"}),
        )
        with app.store.write() as tx:
            row = tx.nodes([node])[node]
            tx.update_nodes([(replace(row, state="retired", version=row.version + 1), row.version)])
        interpreter = ipxe.Interpreter({"mac": query["mac"], "platform": "pcbios"})
        held = httpx.get(f"{server.url}/v1/boot/script", params=query).text
        waited, booted = run_script(app, node, interpreter, held, server.url)
        assert waited >= 30
        assert booted.values()["racksalt.environment"] == "live"
    finally:
        app.close()


def run_script(app, node, interpreter, script, url):
    """Run a script until it boots; let a person commission the node at its second wait."""
    running, answer, waits = ipxe.interpret(interpreter, script), None, []
    while True:
        action = running.send(answer)
        answer = True
        if isinstance(action, ipxe.BootKernel):
            return sum(waits), action
        if isinstance(action, ipxe.Wait):
            waits.append(action.seconds)
            if len(waits) == 2:
                outcome = app.operations.run("commission", [node], actor="test")
                assert outcome["accepted"], outcome
        if isinstance(action, ipxe.Fetch):
            # The scripts name the address of the settings; this process has another port.
            path = action.url.partition("/v1/")[2]
            answer = httpx.get(f"{url}/v1/{path}").text


JUNK = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/nodes/n1/reports HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"GET /v1/boot/script?mac=%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/boot/script?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
)


def test_junk_on_the_wire_does_no_harm(server):
    """Whatever comes over the socket, the next request is served."""

    async def send(junk):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            writer.write(junk)
            writer.write_eof()
            await asyncio.wait_for(reader.read(65536), 10)
        writer.close()

    for junk in JUNK:
        asyncio.run(send(junk))
        assert httpx.get(f"{server.url}/healthz").status_code == 200
