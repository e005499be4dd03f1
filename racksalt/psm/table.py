"""The provisioning state machine, as data.

Rule 1: everything that decides a node's next state is in this file.
Rule 2: nothing here does anything: effects are names, and the conductor carries them out (``conductor/effects.py``).
The diagram and the tables in README.md and docs/reference/psm.md are made from here (``make gen``).

Rows are tried from top to bottom; the first whose guard holds wins. A row that stays in its state is journalled too.
"""

from __future__ import annotations

from racksalt.psm.kernel import Guard, Kind, Machine
from racksalt.psm.kernel import State as S
from racksalt.psm.kernel import Transition as T

REST, BUSY, PROBLEM, MINUTE = Kind.REST, Kind.BUSY, Kind.PROBLEM, 60

NEW_BOOT = ("new_boot", "power_cycle")
"""A boot that racksalt asked for: a new boot token, then power off and on with the network first."""
REBOOT = ("new_boot", "revoke_key", "power_cycle")
"""A boot into another system: the old minion key is worth nothing any more."""
ANSWER_S = 5 * MINUTE
"""Deadline for an agent whose key was just accepted: it is up and asks every few seconds, unless it hangs."""
LET_IN = ("approve", "revoke_old_key", "ask_agent")
"""A machine that is up in the live environment goes on in it; a key that was accepted earlier under its name does not
vouch for it, and would keep its own out."""
PARK = ("revoke_key",)
"""A parked node is trusted no more; sending it on brings a boot with a new key."""

# fmt: off
STATES = (
    #  name            kind     boots        deadline_s   meaning
    S("declared",      REST,    "live",      None,        "Known from the site's files; not seen yet."),
    S("discovering",   BUSY,    "live",      15 * MINUTE, "First boot of the live environment; reports its hardware."),
    S("discovered",    REST,    "live",      None,        "Hardware known; waits for a person or a policy to approve it."),
    S("commissioning", BUSY,    "live",      15 * MINUTE, "Inventory, firmware, BIOS, RAID, burn-in, security.", "commission"),
    S("commissioned",  REST,    "hold",      None,        "Set up, tested and empty; waits for an install."),
    S("installing",    BUSY,    "installer", 15 * MINUTE, "The operating system is being written to disk.", "install"),
    S("enrolling",     BUSY,    "local",     15 * MINUTE, "First boot from its own disk; its minion key is being proven."),
    S("ready",         REST,    "local",     None,        "Runs from its own disk; its minion is accepted and answers."),
    S("booting",       BUSY,    "local",     15 * MINUTE, "A ready node on its way up again."),
    S("releasing",     BUSY,    "live",      15 * MINUTE, "Being erased, to be installed for something else.", "release"),
    S("retiring",      BUSY,    "live",      15 * MINUTE, "Being erased, to leave the site.", "retire"),
    S("retired",       REST,    "hold",      None,        "Out of use, no key; kept for the record. Erased only if it has an erase certificate."),
    S("problem",       PROBLEM, "hold",      None,        "Parked: a budget is spent. `why` says what failed and what to do."),
)


def _came_from(state: str) -> Guard:
    return lambda facts: facts.origin == state


GUARDS: dict[str, Guard] = {
    "approved":            lambda f: f.approved,
    "unapproved":          lambda f: not f.approved,
    "vouched":             lambda f: f.vouched,
    "boot_fresh":          lambda f: f.boot_fresh,
    "boot_stale":          lambda f: not f.boot_fresh,
    "boot_spent":          lambda f: f.boot_spent,
    "enrolled":            lambda f: f.enrolled,
    "has_retries":         lambda f: f.has_retries,
    "job_running":         lambda f: f.job_running,
    "stage_gone":          lambda f: f.stage_gone,
    "identity_conflicts":  lambda f: f.identity_conflicts,
    "more_stages_here":    lambda f: f.next_stage is not None and f.next_stage_here,
    "more_stages":         lambda f: f.next_stage is not None,
    "install_here":        lambda f: f.goal == "ready" and f.install_starts_here,
    "install_next":        lambda f: f.goal == "ready",
    **{f"was_{s.name}": _came_from(s.name) for s in STATES if s.kind is BUSY},
}

SEQUENCED = tuple(s.name for s in STATES if s.sequence)
PLANNED = tuple(name for name in SEQUENCED if name != "commissioning")
"""States whose stages write to the disks that a person saw in the plan."""
AWAITING_BOOT = ("enrolling", "booting")

TRANSITIONS = (
    #  source           event                 guard                 target           effects
    # First contact.
    T("declared",      "boot_requested",     "approved",           "commissioning", ("new_boot", "revoke_key")),
    T("declared",      "boot_requested",     None,                 "discovering",   ("new_boot",)),
    T("declared",      "commission",         "approved",           "commissioning", REBOOT),
    T("declared",      "commission",         None,                 "discovering",   NEW_BOOT),
    T("declared",      "approve",            None,                 "declared",      ("approve",)),
    T("declared",      "retire",             None,                 "retired",       ("revoke_key", "power_off")),
    T("discovering",   "boot_requested",     "boot_stale",         "discovering",   ("new_boot",)),
    T("discovering",   "boot_requested",     None,                 "discovering"),
    T("discovering",   "inventory_reported", "identity_conflicts", "problem"),
    T("discovering",   "inventory_reported", "vouched",            "commissioning", ("record_inventory", *LET_IN)),
    T("discovering",   "inventory_reported", None,                 "discovered",    ("record_inventory",)),
    T("discovered",    "boot_requested",     "boot_stale",         "discovering",   ("new_boot",)),
    T("discovered",    "boot_requested",     None,                 "discovered"),
    T("discovered",    "inventory_reported", None,                 "discovered",    ("record_inventory",)),
    T("discovered",    "approve",            "boot_fresh",         "commissioning", LET_IN),
    T("discovered",    "approve",            None,                 "commissioning", ("approve", *REBOOT)),
    T("discovered",    "retire",             None,                 "retired",       ("revoke_key", "power_off")),

    # Stages: a job on the node's agent, one after the other, with a reboot only where the boot environment changes.
    *(row for at in SEQUENCED for row in (
        T(at, "boot_requested",     "boot_spent",       at, ("check_agent",)),
        T(at, "boot_requested",     "boot_stale",       at, ("new_boot", "revoke_key")),
        T(at, "boot_requested",     None,               at),
        T(at, "key_proven",         None,               at, ("accept_key", "ask_agent")),
        T(at, "agent_answered",     "job_running",      at),
        T(at, "agent_answered",     "stage_gone",       "problem", PARK),
        T(at, "agent_answered",     None,               at, ("run_stage",)),
        T(at, "agent_silent",       "has_retries",      at, REBOOT),
        T(at, "agent_silent",       None,               "problem", PARK),
        T(at, "stage_succeeded",    "identity_conflicts", "problem", PARK),
        T(at, "stage_succeeded",    "stage_gone",       "problem", PARK),
        T(at, "stage_succeeded",    "more_stages_here", at, ("run_stage",)),
        T(at, "stage_succeeded",    "more_stages",      at, REBOOT),
        T(at, "stage_failed",       "stage_gone",       "problem", PARK),
        T(at, "stage_failed",       "has_retries",      at, ("run_stage",)),
        T(at, "stage_failed",       None,               "problem", PARK),
        T(at, "stage_lost",         "has_retries",      at, ("ask_agent",)),
        T(at, "stage_lost",         None,               "problem", PARK),
        T(at, "inventory_reported", "identity_conflicts", "problem", PARK),
        T(at, "inventory_reported", None,               at, ("record_inventory",)),
    )),
    T("commissioning", "stage_succeeded",    "install_here",       "installing",    ("run_stage",)),
    T("commissioning", "stage_succeeded",    "install_next",       "installing",    REBOOT),
    T("commissioning", "stage_succeeded",    None,                 "commissioned",  ("revoke_key", "power_off")),
    T("installing",    "stage_succeeded",    None,                 "enrolling",     REBOOT),
    T("installing",    "enrolment_requested", None,                "installing",    ("issue_enrolment",)),
    T("releasing",     "stage_succeeded",    None,                 "commissioned",  ("revoke_key", "power_off")),
    T("retiring",      "stage_succeeded",    None,                 "retired",       ("revoke_key", "power_off")),

    # Boots from the node's own disk.
    T("enrolling",     "key_proven",         None,                 "enrolling",     ("accept_key", "ask_agent")),
    *(row for at in AWAITING_BOOT for row in (
        # Its key may be accepted since an earlier boot: then it is not proven again, and nothing else makes anybody ask.
        T(at, "boot_requested", "enrolled", at, ("ask_agent",)),
        T(at, "boot_requested", None, at),
        T(at, "agent_answered", None, "ready"),
    )),
    T("booting",       "key_proven",         None,                 "booting",       ("accept_key", "ask_agent")),
    # Anybody can ask for a boot script with a MAC: a node that ran is asked again, its power is not cut for it.
    T("booting",       "deadline_passed",    "has_retries",        "booting",       ("ask_agent",)),
    T("ready",         "boot_requested",     None,                 "booting",       ("ask_agent",)),

    # What a person asks.
    T("commissioned",  "boot_requested",     None,                 "commissioned"),
    T("commissioned",  "commission",         "approved",           "commissioning", REBOOT),
    T("commissioned",  "install",            "approved",           "installing",    REBOOT),
    T("commissioned",  "retire",             None,                 "retiring",      REBOOT),
    T("ready",         "reinstall",          "approved",           "installing",    REBOOT),
    T("ready",         "release",            "approved",           "releasing",     REBOOT),
    T("ready",         "retire",             "approved",           "retiring",      REBOOT),
    T("retired",       "boot_requested",     None,                 "retired"),
    T("retired",       "commission",         None,                 "commissioning", ("approve", *REBOOT)),
    *(T(s.name, power, None, s.name, (power,))
      for s in STATES if s.kind is not BUSY for power in ("power_on", "power_off", "power_cycle")),

    # Trouble: every busy state has a budget, then parks with the reason; a person sends it on.
    *(row for s in STATES if s.kind is BUSY for row in (
        *(() if s.name == "booting" else (
            T(s.name, "deadline_passed", "has_retries", s.name, NEW_BOOT if s.name in AWAITING_BOOT else REBOOT),
        )),
        T(s.name, "deadline_passed", None, "problem", PARK if s.name in SEQUENCED else ()),
        T(s.name, "power_lost", "has_retries", s.name, NEW_BOOT if s.name in AWAITING_BOOT else REBOOT),
        T(s.name, "power_lost", None, "problem", PARK if s.name in SEQUENCED else ()),
        T(s.name, "effect_failed", None, "problem", PARK if s.name in SEQUENCED else ()),
        T("problem", "recover", f"was_{s.name}", s.name, NEW_BOOT if s.name in AWAITING_BOOT else REBOOT),
    )),
    T("problem",       "boot_requested",     None,                 "problem"),
    T("problem",       "commission",         "approved",           "commissioning", REBOOT),
    T("problem",       "approve",            "unapproved",         "commissioning", ("approve", *REBOOT)),
    T("problem",       "reinstall",          "approved",           "installing",    REBOOT),
    T("problem",       "release",            "approved",           "releasing",     REBOOT),
    T("problem",       "retire",             None,                 "retiring",      REBOOT),
    T("problem",       "forget",             None,                 "retired",       ("revoke_key",)),
)
# fmt: on

COMMANDS = (
    "approve",
    "commission",
    "install",
    "reinstall",
    "release",
    "retire",
    "forget",
    "recover",
    "power_on",
    "power_off",
    "power_cycle",
)
"""The events that a person may raise; all others are observed."""

MACHINE = Machine(STATES, TRANSITIONS, initial=("declared", "discovering"), guards=GUARDS)
