"""A rack of QEMU machines under test: wait, look inside, pull plugs, and tell how long each phase took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from racksalt.adapters.site_files import write_site
from racksalt.lab.processes import LabError
from racksalt.lab.qemu import accel
from racksalt.lab.qemu.rack import QemuRack
from racksalt.lab.qemu.site import documents
from racksalt.lab.qemu.spec import Spec
from tests.support.salt_run import salt_run

IMAGES = Path(os.environ.get("RACKSALT_E2E_IMAGES", "/var/cache/racksalt/e2e/images"))
POLL_S = 1.0
ANSWER_S = 120


class Trial:
    """A running rack.

    ``site`` are further files of its site, ``undeclared`` machines that nobody declares and that have no BMC, and
    ``also_declared`` nodes that the site expects and that never come.
    """

    def __init__(
        self,
        root: Path,
        specs: Sequence[Spec],
        *,
        undeclared: Sequence[Spec] = (),
        also_declared: Sequence[Spec] = (),
        families: str = "46",
        site: Mapping[str, object] | None = None,
        addresses: Sequence[str] | None = None,
    ) -> None:
        self.rack = QemuRack(root, images=IMAGES, **({"addresses": addresses} if addresses else {}))
        told = self.rack.use_machines(specs, undeclared)
        write_site(
            self.rack.installation.site,
            {**documents([*told, *also_declared], families=families), **(site or {})},
        )
        self.began = time.time()
        self.app = None

    def start(self) -> None:
        """Start everything; the site's policy then lets racksalt power the machines on by itself."""
        self.rack.start("--accel", accel.choose(IMAGES / "x86_64" / "vmlinuz"))
        self.app = self.rack.open()

    def stop(self) -> None:
        """Stop everything."""
        if self.app is not None:
            self.app.close()
        self.rack.stop()

    # ------------------------------------------------------------ waiting

    def states(self) -> dict[str, str]:
        """Return the state of each node."""
        return {node["id"]: node["state"] for node in self.app.operations.list_nodes()}

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float) -> None:
        """Wait until the condition holds; fail with what the nodes wait for when it does not, or a node is parked."""
        end = time.monotonic() + timeout_s
        while not condition():
            self.rack.check()
            if time.monotonic() > end:
                raise LabError(f"{what} took over {timeout_s:.0f} s\n{self.told()}")
            time.sleep(POLL_S)

    def wait_ready(self, *nodes: str, timeout_s: float) -> None:
        """Wait until these nodes are ready; a parked one ends the wait with its reason."""

        def settled() -> bool:
            states = self.states()
            parked = [name for name in nodes if states.get(name) == "problem"]
            if parked:
                raise LabError(f"parked: {', '.join(parked)}\n{self.told()}")
            return all(states.get(name) == "ready" for name in nodes)

        self.wait(settled, f"ready: {', '.join(nodes)}", timeout_s)

    def told(self) -> str:
        """Return what a person would ask first when something is wrong."""
        lines = []
        for name in self.states():
            why = self.app.operations.why(name)
            told = {key: why.get(key) for key in ("state", "stage", "reason", "waits_for", "last")}
            lines.append(f"{name}: {json.dumps(told, default=str)}")
            console = self.console(name)[-800:]
            lines += [f"    {line}" for line in console.splitlines()[-8:]]
        return "\n".join(lines)

    # ------------------------------------------------------------ looking

    def console(self, machine: str) -> str:
        """Return what a machine printed on its serial console."""
        file = self.rack.installation.lab / machine / "console.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def journal(self, node: str) -> list:
        """Return the node's journal, oldest first."""
        return self.app.store.history(node, limit=1000)[::-1]

    def moves(self, node: str) -> list[tuple[str, str]]:
        """Return the states that a node went through, as pairs."""
        return [
            (entry.from_state, entry.to_state)
            for entry in self.journal(node)
            if entry.kind == "transition" and entry.from_state != entry.to_state
        ]

    def reserved(self, node: str, network: str = "provisioning") -> dict[int, str]:
        """Return the addresses that the store reserves for a node on a network, by family."""
        found = self.app.operations.show(node)["addresses"]
        return {
            one["family"]: one["address"]
            for one in found
            if one["network"] == network and one["kind"] == "reservation"
        }

    def salt(self, target: str, *words: str) -> dict:
        """Return what ``salt TARGET …`` answers; a translated machine that is busy takes its time."""
        return self.rack.salt(target, *words, timeout_s=ANSWER_S)

    def inside(self, node: str, command: str) -> str:
        """Return what a command prints on a node; Salt carries it there."""
        answer = self.salt(node, "cmd.run", command)
        assert isinstance(answer.get(node), str), answer
        return answer[node]

    def runner(self, verb: str, *words: str) -> object:
        """Return what ``salt-run racksalt.VERB …`` answers."""
        return salt_run(self.rack, verb, *words)

    def dig(self, server: str, *words: str) -> list[str]:
        """Return the answers of the lab's DNS, by a resolver that is not ours."""
        asked = ["dig", f"@{server}", "+short", "+time=2", "+tries=3", *words]
        ran = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
        return sorted(ran.stdout.split())

    # ------------------------------------------------------------ hands

    def cut_power(self, machine: str) -> None:
        """Kill the machine's QEMU: what it had not written is lost."""
        pid = self.rack.power()[machine]["pid"]
        assert pid, f"{machine} is off"
        os.kill(pid, signal.SIGKILL)

    def switch_on(self, machine: str) -> None:
        """Press the power button of a machine that has no BMC."""
        assert self.rack.lab.say(f"on {machine}") == {machine: "on"}

    # ------------------------------------------------------------ telling

    def say(self, title: str) -> None:
        """Print how long each phase took; pytest shows it with ``-s``."""
        sys.stdout.write(f"\n{self.phases(title)}\n")
        sys.stdout.flush()

    def phases(self, title: str) -> str:
        """Return how long each node was in each state and stage, from the journal."""
        lines = [f"{title}: {time.time() - self.began:.0f} s in all"]
        for node in self.states():
            last, spans = None, []
            for entry in self.journal(node):
                if entry.kind != "transition":
                    continue
                now = f"{entry.to_state}{'/' + entry.stage if entry.stage else ''}"
                if last is None or now != last[0]:
                    if last is not None:
                        spans.append(f"{last[0]} {entry.at - last[1]:.0f}")
                    last = (now, entry.at)
            if last is not None:
                spans.append(f"{last[0]} since {last[1] - self.began:.0f} s")
            lines.append(f"  {node}: {', '.join(spans)}")
        return "\n".join(lines)
