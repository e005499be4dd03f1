"""What each effect does to the world. Every one may be run again after a crash: it looks before it acts.

``EFFECTS`` is the registry: name → function over a list of tasks. Functions in ``TOGETHER`` take all due tasks of one
agent at once (one question to the Salt bus instead of many), the others one task at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from racksalt.boot.tokens import key_sha256
from racksalt.conductor.ports import JobRequest, Jobs, Power, World
from racksalt.conductor.writer import Result, Task
from racksalt.model.errors import BmcError, BmcRefusedError
from racksalt.model.event import Event, Source
from racksalt.model.node import Bmc

SETTLE_S = 0.4
"""How long a server is given to change its power state before it is asked again."""
LONGEST_WAIT_S = 30.0
ANSWER_TIMEOUT_S = 2.0
MOST_TRIES = 12
"""Tries of a power effect on a node at rest (about four minutes), where no deadline bounds them."""
CHECKS, CHECK_EVERY_S = 6, 5.0
"""How often, and how far apart, an agent must be silent before its node counts as started again by itself."""

REQUEST = ("jid", "stage", "sls")
"""What a stage's effect must say for it to be handed over."""
BY_HAND = "the node has no BMC; switch it by hand, or declare one in the site's files"

Perform = Callable[[World, Sequence[Task], float], list[Result]]


def told(task: Task, name: str, source: Source, at: float, /, **data: object) -> Event:
    """Return the event that an effect led to; its id is that of the effect, so a repeated try tells it once."""
    return Event(
        id=f"effect:{task.effect.id}:{name}:{task.effect.attempts}",
        node=task.effect.node,
        name=name,
        at=at,
        source=source,
        actor=f"effect {task.effect.name}",
        data={"boot": task.effect.boot, **data},
    )


def backoff(attempts: int) -> float:
    """Return the wait before the next try: 0.5, 1, 2, 4 … 30 seconds."""
    return float(min(0.5 * 2 ** min(attempts, 10), LONGEST_WAIT_S))


def power_cycle(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Take the node from whatever it does to a boot from the network: off, seen off, on, seen on."""
    return [_power(world, task, now, _cycle) for task in tasks]


def power_on(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Switch on and see it."""
    return [_power(world, task, now, _on) for task in tasks]


def power_off(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Switch off and see it."""
    return [_power(world, task, now, _off) for task in tasks]


def _power(
    world: World, task: Task, now: float, act: Callable[[World, Task, Bmc], Result]
) -> Result:
    if task.bmc is None:
        # Noted, also of a busy node: a person can do it, and the deadline says for how long that is waited for.
        why = f"{task.effect.name}: {BY_HAND}"
        told_by_hand = told(task, "effect_failed", "conductor", now, noted=why)
        return Result(effect=task.effect, events=[told_by_hand])
    try:
        result = act(world, task, task.bmc)
    except BmcRefusedError as error:
        return Result(effect=task.effect, events=[_failed(task, "power", now, str(error))])
    except BmcError as error:
        if task.effect.attempts >= MOST_TRIES and _rests(task):
            return _given_up(task, now, str(error))
        retry = float(error.detail.get("retry_after_s") or 0)
        wait = max(backoff(task.effect.attempts), retry)
        return Result(
            effect=task.effect, again_after_s=wait, error=str(error), progress=task.effect.progress
        )
    if result.again_after_s and task.effect.attempts >= MOST_TRIES and _rests(task):
        return _given_up(task, now, f"the power did not change in {MOST_TRIES} tries")
    power = result.progress.get("seen")
    if result.again_after_s is None and task.node is not None and power != task.node.power:
        result.events = [
            told(task, "power_observed", "power", now, power=power, noted=f"power is {power}")
        ]
    return result


def _rests(task: Task) -> bool:
    """Say whether no deadline bounds the effect: the node waits for nothing."""
    return task.node is None or task.node.deadline_at is None


def _given_up(task: Task, now: float, why: str) -> Result:
    message = f"{task.effect.name} given up: {why}; ask again when the BMC answers"
    return Result(effect=task.effect, events=[_failed(task, "power", now, message)])


def _failed(task: Task, source: Source, now: float, why: str) -> Event:
    """Return the event of an effect that cannot be done: a node that waits for nothing has it noted, and stays."""
    if _rests(task):
        return told(task, "effect_failed", source, now, noted=why)
    return told(task, "effect_failed", source, now, message=why)


def _cycle(world: World, task: Task, bmc: Bmc) -> Result:
    """Go one step: what an earlier try saw is in ``progress``, written before the next step is taken."""
    port, effect = world.power_of(bmc), task.effect
    was_off = bool(effect.progress.get("off_seen"))
    seen = port.observe(bmc) if was_off else _unless(port, bmc, "off")
    if seen == "on" and was_off:
        return Result(effect=effect, progress={"seen": seen})
    if seen == "on":
        port.off(bmc)
        seen = port.observe(bmc)
    if seen == "on":
        return Result(effect=effect, again_after_s=SETTLE_S)
    if not was_off:
        # Written down before it is switched on, so that a crash in between costs no second start.
        return Result(effect=effect, again_after_s=0.0, progress={"off_seen": True})
    port.boot_next(bmc, "network")
    port.on(bmc)
    if port.observe(bmc) == "on":
        return Result(effect=effect, progress={"seen": "on"})
    return Result(effect=effect, again_after_s=SETTLE_S)


def _on(world: World, task: Task, bmc: Bmc) -> Result:
    return _until(world, task, bmc, "on")


def _off(world: World, task: Task, bmc: Bmc) -> Result:
    return _until(world, task, bmc, "off")


def _until(world: World, task: Task, bmc: Bmc, wanted: str) -> Result:
    port = world.power_of(bmc)
    seen = _unless(port, bmc, wanted)
    if seen != wanted:
        port.on(bmc) if wanted == "on" else port.off(bmc)
        seen = port.observe(bmc)
    if seen == wanted:
        return Result(effect=task.effect, progress={"seen": seen})
    return Result(effect=task.effect, again_after_s=SETTLE_S)


def _unless(port: Power, bmc: Bmc, idle: str) -> str:
    """Return the power state; one that would leave nothing to do is read twice, for BMCs may be wrong for a moment."""
    seen = port.observe(bmc)
    return port.observe(bmc) if seen == idle else seen


def revoke_key(world: World, tasks: Sequence[Task], _now: float) -> list[Result]:
    """Delete every minion key of the node."""
    for task in tasks:
        world.keys.revoke(task.effect.node)
    return [Result(effect=task.effect) for task in tasks]


def revoke_old_key(world: World, tasks: Sequence[Task], _now: float) -> list[Result]:
    """Delete the keys of nodes that have an accepted one from before; a key of their own that waits comes again."""
    for task in tasks:
        if any(key.accepted for key in world.keys.get(task.effect.node)):
            world.keys.revoke(task.effect.node)
    return [Result(effect=task.effect) for task in tasks]


def accept_key(world: World, tasks: Sequence[Task], _now: float) -> list[Result]:
    """Accept the one pending key that was proven; another key is left alone."""
    return [_accept(world, task) for task in tasks]


def _accept(world: World, task: Task) -> Result:
    wanted = task.effect.args.get("key_sha256")
    for key in world.keys.get(task.effect.node):
        if key_sha256(key.public_key) != wanted:
            continue
        if not key.accepted:
            world.keys.accept(key)
        return Result(effect=task.effect)
    return Result(
        effect=task.effect,
        again_after_s=backoff(task.effect.attempts),
        error="the proven key is not pending",
    )


def ask_agent(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Ask until the node's agent answers; the state's deadline bounds it."""
    alive = _answering(world, tasks)
    return [
        Result(effect=t.effect, events=[told(t, "agent_answered", "jobs", now)])
        if t.effect.node in alive
        else Result(
            effect=t.effect,
            again_after_s=world.agent_poll_s * min(1 + t.effect.attempts // 15, 5),
            error="the agent does not answer yet",
        )
        for t in tasks
    ]


def check_agent(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Ask a few times: did a node that asks for a boot script really start again, or does its agent answer?

    Anybody can ask for a boot script, and a loaded agent may miss one question.
    """
    alive = _answering(world, tasks)
    return [_checked(task, task.effect.node in alive, now) for task in tasks]


def _checked(task: Task, alive: bool, now: float) -> Result:
    if not alive and task.effect.attempts + 1 < CHECKS:
        return Result(effect=task.effect, again_after_s=CHECK_EVERY_S, error="the agent is silent")
    name = "agent_answered" if alive else "agent_silent"
    return Result(effect=task.effect, events=[told(task, name, "jobs", now)])


def run_stage(world: World, tasks: Sequence[Task], now: float) -> list[Result]:
    """Hand the stage to the node's agent under the job id that was chosen when it was decided."""
    sound = [task for task in tasks if _says_what(task)]
    if sound:
        requests = [
            JobRequest(node=t.effect.node, **{name: t.effect.args[name] for name in REQUEST})
            for t in sound
        ]
        _jobs(world, sound).submit(requests)
    return [
        Result(effect=t.effect, events=() if _says_what(t) else [_unsaid(t, now)]) for t in tasks
    ]


def _says_what(task: Task) -> bool:
    return all(task.effect.args.get(name) for name in REQUEST)


def _unsaid(task: Task, now: float) -> Event:
    """Return the event of a stage that does not say what to run: the others of its group are not kept waiting."""
    why = f"run_stage: nothing says which stage to run ({task.effect.args}); `recover` begins the state anew"
    return _failed(task, "conductor", now, why)


def _answering(world: World, tasks: Sequence[Task]) -> set[str]:
    # What was asked before this effect was decided may have been asked in another boot.
    since = {task.effect.node: task.effect.created_at for task in tasks}
    return _jobs(world, tasks).answering(since, ANSWER_TIMEOUT_S)


def _jobs(world: World, tasks: Sequence[Task]) -> Jobs:
    node = tasks[0].node
    if node is None:
        raise RuntimeError("tasks of nodes that are gone are dropped before they come here")
    return world.jobs_of(node.agent)


EFFECTS: dict[str, Perform] = {
    "power_cycle": power_cycle,
    "power_on": power_on,
    "power_off": power_off,
    "revoke_key": revoke_key,
    "revoke_old_key": revoke_old_key,
    "accept_key": accept_key,
    "ask_agent": ask_agent,
    "check_agent": check_agent,
    "run_stage": run_stage,
}
TOGETHER = ("ask_agent", "check_agent", "run_stage")
ANY_BOOT = ("revoke_key",)
"""Effects that are still worth doing after the node was sent into another boot."""
