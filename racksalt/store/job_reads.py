"""Which nodes run which jobs: no more of a node than those who look after jobs need, for they look at all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, select

from racksalt.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import BindParameter

    from racksalt.store.store import Store

_JIDS: BindParameter[str] = bindparam("jids", expanding=True)
_PAIRS = select(t.nodes.c.job, t.nodes.c.id).where(t.nodes.c.job.in_(_JIDS))


class Running(NamedTuple):
    """A node that runs a job: which one, since when, for which stage of which boot, and by what kind of agent."""

    id: str
    agent: str
    job: str
    job_since: float | None
    boot: int
    stage: str | None


_RUNNING = select(*(t.nodes.c[name] for name in Running._fields)).where(t.nodes.c.job.is_not(None))


def running(store: Store, jids: Collection[str] | None = None) -> list[Running]:
    """Return the nodes that run a job, or one of these jobs."""
    wanted = _RUNNING if jids is None else _RUNNING.where(t.nodes.c.job.in_(list(jids)))
    with store.read() as connection:
        return [Running(*row) for row in connection.execute(wanted)]


def running_jobs(store: Store, jids: Collection[str]) -> set[tuple[str, str]]:
    """Return the (job id, node) pairs of those of the jobs that nodes run now; one statement."""
    with store.read() as connection:
        return {(row.job, row.id) for row in connection.execute(_PAIRS, {"jids": list(jids)})}
