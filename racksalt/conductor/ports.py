"""What the conductor needs of the world. Adapters implement these; nothing else touches the world.

Every method may be called again after a crash, so every method is idempotent or says what it observes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from racksalt.model.errors import AgentUnreachableError, BmcRefusedError
from racksalt.model.node import Bmc
from racksalt.model.switch import Switch
from racksalt.network.switch_plan import Step
from racksalt.network.switches import Observed

Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""


class Power(Protocol):
    """Out-of-band power of one node. Raises BmcUnreachableError, BmcRefusedError or BmcSuspendedError.

    One call is one bounded exchange with the BMC (no polling loops inside). Calls for different BMCs never wait for
    one another; calls for one BMC are done one at a time.
    """

    def observe(self, bmc: Bmc) -> Literal["on", "off"]:
        """Return the power state that the BMC reports now."""
        ...

    def on(self, bmc: Bmc) -> None:
        """Switch on; no harm when it is on."""
        ...

    def off(self, bmc: Bmc) -> None:
        """Switch off at once; no harm when it is off."""
        ...

    def boot_next(self, bmc: Bmc, device: Literal["network", "disk"]) -> None:
        """Choose the device of the next boot only."""
        ...

    def is_suspect(self, bmc: Bmc) -> bool:
        """Say, without asking the BMC, whether it failed or was slow last time, or never worked: a call may take long.

        Who has many BMCs to call calls these in threads of their own.
        """
        ...


Setting = str | int | float | bool | None
"""The value of one BIOS attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BiosSettings:
    """BIOS attributes by the maker's names: in force now, and waiting for the next start of the machine."""

    current: dict[str, Setting]
    pending: dict[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """One line of the firmware inventory. ``target`` is what an update names to mean this one."""

    name: str
    version: str
    target: str
    updateable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareImage:
    """What is to be written: where the BMC fetches it (``url``) and what it must be (``sha256``, hex)."""

    url: str
    sha256: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcTask:
    """How far an update is. ``percent`` is None where the BMC does not say."""

    state: Literal["running", "succeeded", "failed"]
    percent: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One sensor now. ``unit``: ``celsius``, ``watts``, ``rpm``, ``percent`` or ``volts``."""

    name: str
    value: float
    unit: str
    health: str = "OK"


class Management(Protocol):
    """What a BMC does besides power: settings, firmware, sensors (Redfish). Raises as ``Power``.

    One call is a few bounded exchanges. Nothing here switches or restarts the machine.
    """

    def bios(self, bmc: Bmc) -> BiosSettings:
        """Return the BIOS attributes in force and those that wait for a restart."""
        ...

    def set_bios(self, bmc: Bmc, wanted: Mapping[str, Setting]) -> BiosSettings:
        """Let ``wanted`` take force at the next start; return what was read back. No harm when repeated.

        BmcRefusedError: an attribute that the BIOS does not have, or that was not taken; ``detail['attributes']``.
        """
        ...

    def firmware(self, bmc: Bmc) -> list[Firmware]:
        """Return the versions of all firmware that the BMC knows of."""
        ...

    def update_firmware(
        self, bmc: Bmc, image: FirmwareImage, ready: Callable[[], None] | None = None
    ) -> str:
        """Check the image behind the URL, then ask the BMC once to fetch and write it; return the task's name.

        The check may take minutes: ``ready`` is called after it, right before the request, and may refuse by an error.

        InvalidInputError: the image has no checksum or another one, or cannot be fetched; the BMC was not asked.
        """
        ...

    def task(self, bmc: Bmc, name: str) -> BmcTask:
        """Return how far a task is."""
        ...

    def sensors(self, bmc: Bmc) -> list[Reading]:
        """Return temperatures, fans and power."""
        ...


class Logins(Protocol):
    """Who may log in to a BMC."""

    def default_logins(self, bmc: Bmc) -> list[str]:
        """Return the user names whose well-known factory password the BMC still accepts; one try for each."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The outcome of one stage on one node, from a channel that cannot be forged.

    ``ran`` is False for a job that ended before its first state: nothing was tested, so nothing failed.
    """

    jid: str
    node: str
    ok: bool
    ran: bool = True
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """Apply ``sls`` with ``pillar`` on ``node`` under the job id ``jid`` (20 digits, chosen by the conductor)."""

    jid: str
    node: str
    stage: str
    sls: str
    pillar: dict[str, Any] = field(default_factory=dict)


Outcome = Literal["running", "finished", "lost"]
"""What an agent knows of a job; ``lost``: it neither runs it nor has kept a result."""


class Jobs(Protocol):
    """Stages as jobs on the node's agent."""

    def submit(self, requests: Sequence[JobRequest]) -> None:
        """Hand the jobs to the agents; the same jid twice runs once. Does not wait for results."""
        ...

    def results(self, wanted: Iterable[tuple[str, str]]) -> list[JobResult]:
        """Return the results that are there for (jid, node) pairs; absent ones are not ready or not known."""
        ...

    def outcomes(
        self, wanted: Sequence[tuple[str, str]], timeout_s: float
    ) -> dict[tuple[str, str], Outcome]:
        """Ask the agents of these (jid, node) pairs, all at once, what became of the jobs.

        A result that an agent has kept is stored, so that ``results`` gives it. The pairs of silent
        agents are left out: silence proves nothing.
        """
        ...

    def answering(self, since: Mapping[str, float], timeout_s: float) -> set[str]:
        """Return the nodes whose agent answers, proven by its own key; ask them and wait for at most ``timeout_s``.

        ``since`` are the nodes, and from when on (seconds since the epoch) a question counts: what comes too late for
        one call is an answer in the next, if it was asked then or later. A slow agent is no silent one.
        """
        ...

    def connected(self, nodes: Iterable[str]) -> None:
        """Take a hint, which may be forged: these agents connected anew and may have missed what they were asked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MinionKey:
    """A minion key in the master's key store."""

    node: str
    public_key: str
    accepted: bool


class Keys(Protocol):
    """The Salt master's key store."""

    def pending(self) -> list[MinionKey]:
        """Return all keys that wait for acceptance."""
        ...

    def get(self, node: str) -> list[MinionKey]:
        """Return the node's keys: the accepted one, the pending one, or both."""
        ...

    def accept(self, key: MinionKey) -> None:
        """Accept exactly this pending key; a different or vanished key raises ConflictError."""
        ...

    def revoke(self, node: str) -> None:
        """Delete every key of the node, accepted, pending or denied; no harm when there is none."""
        ...

    def clear_waiting(self, node: str) -> None:
        """Delete the node's pending and denied keys, never the accepted one; no harm when there is none."""
        ...


class Switches(Protocol):
    """Switches of one kind. Raises SwitchError; a switch is asked or changed by one caller at a time."""

    def observe(self, switch: Switch) -> Observed:
        """Return the switch as it is now; changes nothing."""
        ...

    def apply(self, switch: Switch, steps: Sequence[Step]) -> None:
        """Carry out steps in order; no harm when some are done already. After SwitchError any of them may be done."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


class Announcer(Protocol):
    """Publishes committed transitions (Salt's event bus, or nothing)."""

    def publish(self, tag: str, payload: dict[str, Any]) -> None:
        """Fire one event; may be lost, may be repeated."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """All ports of one conductor, by the node's own choice of agent and BMC protocol.

    ``spent`` tells the seconds of processor time that the calling thread had.
    """

    clock: Clock
    power: dict[str, Power]
    jobs: dict[str, Jobs]
    keys: Keys
    announcer: Announcer | None = None
    agent_poll_s: float = 2.0
    management: Mapping[str, Management] = field(default_factory=dict)
    logins: Mapping[str, Logins] = field(default_factory=dict)
    spent: Clock = lambda: 0.0

    def power_of(self, bmc: Bmc) -> Power:
        """Return the power port for this BMC's protocol."""
        return self.power[bmc.protocol]

    def is_suspect(self, bmc: Bmc) -> bool:
        """Say whether calls of this BMC may take long; one whose protocol is not driven here fails at once."""
        port = self.power.get(bmc.protocol)
        return port is not None and port.is_suspect(bmc)

    def management_of(self, bmc: Bmc) -> Management:
        """Return the management port for this BMC. Raises BmcRefusedError for a protocol without one."""
        found = self.management.get(bmc.protocol)
        if found is None:
            raise BmcRefusedError(
                f"the BMC of {bmc.node} is managed by {bmc.protocol}, which knows no settings and no firmware",
                "declare it with protocol: redfish",
            )
        return found

    def logins_of(self, bmc: Bmc) -> Logins | None:
        """Return the port that tries factory passwords on this BMC, or None where there is nothing to try."""
        return self.logins.get(bmc.protocol)

    def jobs_of(self, agent: str) -> Jobs:
        """Return the job port for this kind of agent. Raises AgentUnreachableError for one that is not driven here."""
        found = self.jobs.get(agent)
        if found is None:
            raise AgentUnreachableError(
                f"this conductor drives no agent of kind {agent!r}, only {', '.join(sorted(self.jobs)) or 'none'}",
                "salt: run it in a salt-master's engine; light: set `simulated`; or give the node another agent",
            )
        return found
