"""A real Salt master with the conductor in it and no machines, and minions that are nothing but their keys."""

from __future__ import annotations

import contextlib
import copy
import sys
import uuid
from pathlib import Path
from typing import Any

import salt.channel.client
import salt.config
import salt.payload
import salt.utils.yaml

from racksalt.lab.minion_config import CHEAP, make_key_pair
from racksalt.lab.processes import Child
from racksalt.lab.rack import Rack

SEND_S = 20


class Stranger:
    """Somebody who talks to the master's request port as a minion does: signs in, and fires events once accepted."""

    def __init__(
        self, folder: Path, address: str, node: str, pair: tuple[str, str] | None = None
    ) -> None:
        self.node = node
        self.private, self.public = pair or make_key_pair()
        self.pki = folder / uuid.uuid4().hex[:8]
        self.pki.mkdir(parents=True)
        (self.pki / "minion.pem").write_text(self.private)
        (self.pki / "minion.pem").chmod(0o400)
        (self.pki / "minion.pub").write_text(self.public)
        host, _, port = address.rpartition(":")
        self._opts = copy.copy(salt.config.minion_config(None, minion_id=node))
        self._opts.update(
            id=node,
            pki_dir=str(self.pki),
            cachedir=str(self.pki / "cache"),
            master=host,
            master_ip=host,
            master_port=int(port),
            master_uri=f"tcp://{host}:{port}",
            __role="minion",
        )
        self._opts["keys.cache_driver"] = "localfs_key"

    def sign_in(self, proof: str | None = None) -> Any:
        """Ask to be let in; returns the master's word on it: True waits, False is refused, else it is in."""
        payload = {
            "cmd": "_auth",
            "id": self.node,
            "nonce": uuid.uuid4().hex,
            "enc_algo": self._opts["encryption_algorithm"],
            "sig_algo": self._opts["signing_algorithm"],
            "pub": self.public.strip(),
        }
        if proof is not None:
            payload["autosign_grains"] = {"racksalt_proof": proof}
        with salt.channel.client.ReqChannel.factory(self._opts, crypt="clear") as channel:
            answer = channel.send(payload, timeout=SEND_S)
        load = answer.get("load", answer)
        if isinstance(load, bytes):  # signed by the master
            load = salt.payload.loads(load)
        return load["ret"] if isinstance(load, dict) and "ret" in load else "in"

    def give_back(self, jid: str, value: Any, node: str = "") -> None:
        """Return ``value`` for a job, as an accepted minion does; under another's name, as it should not."""
        load = {"cmd": "_return", "id": node or self.node, "jid": jid, "fun": "state.apply"}
        load |= {"return": value, "retcode": 0, "success": True, "tok": b""}
        with salt.channel.client.ReqChannel.factory(self._opts) as channel:
            channel.send(load, timeout=SEND_S)

    def fire(self, events: list[dict[str, Any]]) -> None:
        """Fire events with tags and data of any kind, as an accepted minion can."""
        load = {"cmd": "_minion_event", "id": self.node, "events": events, "tok": b""}
        with salt.channel.client.ReqChannel.factory(self._opts) as channel:
            channel.send(load, timeout=SEND_S)


def pre_accept(rack: Rack, node: str, public: str) -> None:
    """Put a key among the accepted ones, as an operator does by hand."""
    accepted = Path(rack.master.opts["pki_dir"]) / "minions" / node
    accepted.parent.mkdir(exist_ok=True)
    accepted.write_text(public.strip())


@contextlib.contextmanager
def a_minion(rack: Rack, node: str, **config: Any):
    """Run a real salt-minion of this name, whose key is accepted already; gives the process."""
    folder = rack.root / f"x-{node}"
    private, public = make_key_pair()
    keys = folder / "etc/salt/pki/minion"
    keys.mkdir(parents=True)
    (keys / "minion.pem").write_text(private)
    (keys / "minion.pem").chmod(0o400)
    (keys / "minion.pub").write_text(public)
    host, _, port = rack.master.address.rpartition(":")
    settings = {
        **CHEAP,
        "root_dir": str(folder),
        "id": node,
        "master": host,
        "master_port": int(port),
    }
    settings |= {
        "user": rack.master.opts["user"],
        "publish_port": rack.master.publish_port,
        **config,
    }
    (folder / "etc/salt/minion").write_text(salt.utils.yaml.safe_dump(settings))
    pre_accept(rack, node, public)
    command = "from salt.scripts import salt_minion; salt_minion()"
    arguments = [
        sys.executable,
        "-c",
        command,
        "-c",
        str(folder / "etc/salt"),
        "--disable-keepalive",
    ]
    child = Child(f"minion {node}", arguments, folder / "minion.log")
    try:
        yield child
    finally:
        child.stop()


def journal_of(app: Any, node: str) -> list[Any]:
    """Return the node's journal, oldest first."""
    return list(reversed(app.store.history(node, limit=500)))


def all_text(root: Path) -> str:
    """Return every log and database byte below a folder, to look for secrets in."""
    wanted = (".log", ".db", ".db-wal")
    files = [path for path in root.rglob("*") if path.name.endswith(wanted) and path.is_file()]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)
