"""Which of these jobs does a node run?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from racksalt.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import BindParameter

    from racksalt.store.store import Store

_JIDS: BindParameter[str] = bindparam("jids", expanding=True)
_RUNNING = select(t.nodes.c.job, t.nodes.c.id).where(t.nodes.c.job.in_(_JIDS))


def running_jobs(store: Store, jids: Collection[str]) -> set[tuple[str, str]]:
    """Return the (job id, node) pairs of those of the jobs that nodes run now; one statement."""
    with store.read() as connection:
        return {(row.job, row.id) for row in connection.execute(_RUNNING, {"jids": list(jids)})}
