"""Ports to a lab's simulated BMCs and light agents, and to no Salt master at all.

The light agents report over the boot API themselves; what is asked here is what the conductor would
ask a real BMC or a real minion, and it is answered by the machine in the lab, not assumed.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from racksalt.adapters.lab_link import LabLink, LinkError
from racksalt.conductor.ports import JobRequest, JobResult, MinionKey, Outcome
from racksalt.model.errors import (
    AgentUnreachableError,
    BmcRefusedError,
    BmcUnreachableError,
    ConflictError,
    InvalidInputError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from racksalt.model.node import Bmc

BMC_TIMEOUT_S = 5.0
SLOW_S = 1.0
"""A BMC that took longer for its last answer, or gave none, is under suspicion."""
AGENT_TIMEOUT_S = 10.0


class Links:
    """Connections to labs by address, shared by all ports of one conductor."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, int], LabLink] = {}
        self._lock = threading.Lock()

    def to(self, host: str, port: int) -> LabLink:
        """Return the connection to this lab."""
        with self._lock:
            return self._links.setdefault((host, port), LabLink(host, port))

    def close(self) -> None:
        """Drop all connections."""
        with self._lock:
            for link in self._links.values():
                link.close()


class SimulatedPower:
    """The port ``Power`` to simulated BMCs: ``bmc.address`` and ``bmc.port`` are those of the lab."""

    def __init__(self, links: Links | None = None, timeout_s: float = BMC_TIMEOUT_S) -> None:
        self._links = links or Links()
        self._timeout_s = timeout_s
        self._suspects: set[tuple[str, int, str]] = set()

    def observe(self, bmc: Bmc) -> Literal["on", "off"]:
        """Return the power state now. Raises BmcUnreachableError or BmcRefusedError, as all methods here."""
        return "on" if self._ask(bmc, "observe") == "on" else "off"

    def on(self, bmc: Bmc) -> None:
        """Switch on; no harm when it is on."""
        self._ask(bmc, "on")

    def off(self, bmc: Bmc) -> None:
        """Switch off at once; no harm when it is off."""
        self._ask(bmc, "off")

    def boot_next(self, bmc: Bmc, device: Literal["network", "disk"]) -> None:
        """Choose the device of the next boot only."""
        self._ask(bmc, "boot_next", device=device)

    def is_suspect(self, bmc: Bmc) -> bool:
        """Say whether the BMC was silent or slow last time."""
        return (bmc.address, bmc.port, bmc.node) in self._suspects

    def close(self) -> None:
        """Drop the connections to the lab."""
        self._links.close()

    def _ask(self, bmc: Bmc, op: str, **more: Any) -> Any:
        begun = time.monotonic()
        try:
            return self._links.to(bmc.address, bmc.port).ask(
                op, self._timeout_s, node=bmc.node, **more
            )
        except LinkError as error:
            if error.refused:
                raise BmcRefusedError(f"the simulated BMC of {bmc.node} says: {error}") from error
            message = f"the simulated BMC of {bmc.node} does not answer: {error}"
            raise BmcUnreachableError(message, "is the lab running?") from error
        finally:
            was_slow = time.monotonic() - begun > min(SLOW_S, self._timeout_s)
            note = self._suspects.add if was_slow else self._suspects.discard
            note((bmc.address, bmc.port, bmc.node))


class SimulatedJobs:
    """The port ``Jobs`` to light agents. ``address`` is the lab's ``host:port``."""

    def __init__(self, address: str, links: Links | None = None) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise InvalidInputError(f"{address!r} is not host:port", "see the setting `simulated`")
        self._link = (links or Links()).to(host.strip("[]"), int(port))

    def submit(self, requests: Sequence[JobRequest]) -> None:
        """Hand the jobs to the agents; the same jid twice runs once. Raises AgentUnreachableError."""
        jobs = [{"jid": job.jid, "node": job.node, "stage": job.stage} for job in requests]
        away = self._ask("submit", AGENT_TIMEOUT_S, jobs=jobs)
        if away and len(away) == len(jobs):
            self._unreachable(f"no agent runs on {', '.join(away[:5])}")

    def results(self, wanted: Iterable[tuple[str, str]]) -> list[JobResult]:
        """Return the kept results of these (jid, node) pairs."""
        found = self._ask("results", AGENT_TIMEOUT_S, wanted=[list(pair) for pair in wanted])
        return [JobResult(**result) for result in found]

    def outcomes(
        self, wanted: Sequence[tuple[str, str]], timeout_s: float
    ) -> dict[tuple[str, str], Outcome]:
        """Ask the agents what became of these jobs; silent ones are left out."""
        try:
            said = self._ask("outcomes", timeout_s, wanted=[list(pair) for pair in wanted])
        except AgentUnreachableError:
            return {}
        return {(jid, node): outcome for jid, node, outcome in said}

    def answering(self, since: Mapping[str, float], timeout_s: float) -> set[str]:
        """Return the nodes whose agent answers now: the lab's answer at once or not at all."""
        try:
            return set(self._ask("answering", timeout_s, nodes=list(since)))
        except AgentUnreachableError:
            return set()

    def connected(self, nodes: Iterable[str]) -> None:
        """Do nothing: the lab misses no question."""

    def _ask(self, op: str, timeout_s: float, **arguments: Any) -> Any:
        try:
            return self._link.ask(op, timeout_s, **arguments)
        except LinkError as error:
            self._unreachable(f"the lab does not answer: {error}", error)

    @staticmethod
    def _unreachable(message: str, cause: Exception | None = None) -> NoReturn:
        raise AgentUnreachableError(message, "is the lab running?") from cause


class NullKeys:
    """The port ``Keys`` of a site without a Salt master: there are none."""

    def pending(self) -> list[MinionKey]:
        """Return nothing."""
        return []

    def get(self, node: str) -> list[MinionKey]:
        """Return nothing."""
        del node
        return []

    def accept(self, key: MinionKey) -> None:
        """Raise ConflictError: there is no key store."""
        raise ConflictError(f"there is no key store that could accept a key of {key.node}")

    def revoke(self, node: str) -> None:
        """Do nothing: there is no key."""

    def clear_waiting(self, node: str) -> None:
        """Do nothing: no key waits."""
