"""What the conductor knows when it takes one event: the node's rows and the rules, no world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from racksalt.boot.identity import Known
from racksalt.conductor.twins import doubt
from racksalt.model.event import Event
from racksalt.model.node import Boot, BootEnvironment, Hardware, Node
from racksalt.psm.kernel import Facts, Machine
from racksalt.psm.sequences import STAGES, Sequences, Stage
from racksalt.site.schema import Declarations

EXCUSED = "excused"
"""In the data of a lost job: it was lost because a conductor was started in the middle, which costs no try."""
Vouch = Callable[[Node, Event], bool]
"""The site's policy: may this discovered node go on without a person?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides, the same for all nodes of a site."""

    machine: Machine
    sequences: Sequences
    vouch: Vouch
    token_ttl_s: float
    deadline_factor: float
    goal: str = "commissioned"
    """Where machines that nobody declared are headed."""
    discovery_limit: int = 256
    site: Declarations = field(default_factory=Declarations)
    """What the site's files declare: addresses of nodes, and conduits."""

    @property
    def longest_s(self) -> float:
        """Return the longest time until a deadline: of all states and stages, also those that the site shortened."""
        waits = [state.deadline_s or 0 for state in self.machine.states.values()]
        stages = [stage.deadline_s for stage in (*self.sequences.stages.values(), *STAGES)]
        return max(*waits, *stages) * max(self.deadline_factor, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One node at one instant. ``rivals`` are other nodes with the system UUID that it now reports."""

    node: Node
    boots: tuple[Boot, ...]
    hardware: Hardware | None
    now: float
    rivals: tuple[Known, ...] = ()

    @property
    def place(self) -> dict[str, str | None]:
        """Return what stage conditions look at."""
        hardware = self.hardware
        return {
            "zone": self.node.zone,
            "rack": self.node.rack,
            "node": self.node.id,
            "vendor": hardware.vendor if hardware else None,
            "product": hardware.product if hardware else None,
        }

    @property
    def boot(self) -> Boot | None:
        """Return the row of the boot that the node is on."""
        wanted = (self.node.boot, self.node.boot_environment)
        return next((b for b in self.boots if (b.generation, b.environment) == wanted), None)

    @property
    def enrolment(self) -> Boot | None:
        """Return the boot by which the installed system proves itself, issued while it was installed."""
        # Later boots from the node's own disk issue no token: they expire as they are issued.
        local = [b for b in self.boots if b.environment == "local" and b.expires_at > b.issued_at]
        return max(local, key=lambda boot: boot.generation, default=None)

    def candidates(self) -> list[Boot]:
        """Return the boots whose tokens may vouch for a key in the node's present state."""
        if self.node.state in ("enrolling", "booting"):
            return [self.enrolment] if self.enrolment else []
        return [self.boot] if self.boot else []


def next_stage(view: View, rules: Rules, event: str) -> Stage | None:
    """Return the stage that would run after ``event``: the one after the present stage when it succeeded."""
    sequence = rules.machine.states[view.node.state].sequence
    if sequence is None:
        return None
    if view.node.stage is None or (event == "stage_succeeded" and not _gone(view.node, rules)):
        return rules.sequences.following(sequence, view.node.stage, view.place)
    return None if _gone(view.node, rules) else rules.sequences.stages[view.node.stage]


def _gone(node: Node, rules: Rules) -> bool:
    """Say whether the site's files took the node's stage out of the sequence that it is in."""
    sequence = rules.machine.states[node.state].sequence
    if sequence is None or node.stage is None:
        return False
    return node.stage not in rules.sequences.sequences[sequence]


def first_stage(view: View, rules: Rules, state: str) -> Stage | None:
    """Return the first stage of ``state``'s sequence for this node."""
    sequence = rules.machine.states[state].sequence
    return rules.sequences.following(sequence, None, view.place) if sequence else None


def environment(rules: Rules, state: str, stage: Stage | None) -> BootEnvironment:
    """Return what a node in ``state`` about to run ``stage`` must boot."""
    return stage.environment if stage else rules.machine.states[state].boots


def facts(view: View, event: Event, rules: Rules) -> Facts:
    """Work out what the guards may look at."""
    node, boot = view.node, view.boot
    state = rules.machine.states[node.state]
    following = next_stage(view, rules, event.name)
    install = first_stage(view, rules, "installing")
    budget = state.retries
    if event.name == "stage_failed" and node.stage in rules.sequences.stages:
        budget = rules.sequences.stages[node.stage].retries
    return Facts(
        approved=node.approved,
        vouched=event.name == "inventory_reported" and (node.approved or rules.vouch(node, event)),
        goal=node.goal,
        origin=node.origin,
        has_retries=node.stage_attempt < budget or bool(event.data.get(EXCUSED)),
        job_running=node.job is not None,
        boot_spent=boot is not None and boot.redeemed_at is not None,
        boot_fresh=boot is not None and boot.expires_at > view.now,
        enrolled=view.enrolment is not None and view.enrolment.redeemed_at is not None,
        next_stage=following.name if following else None,
        next_stage_here=following is not None and following.environment == node.boot_environment,
        stage_gone=_gone(node, rules),
        install_starts_here=install is not None and install.environment == node.boot_environment,
        identity_conflicts=bool(doubt(view, event)),
    )
