"""Which jobs are racksalt's own."""

from __future__ import annotations

from racksalt.store.job_reads import running_jobs
from tests.support.builders import a_node


def test_a_job_is_running_on_the_node_that_has_it(store):
    """Jobs that ended, jobs of nobody and other nodes are not there."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", job="1"), a_node("n2", job="2"), a_node("n3")])
    assert running_jobs(store, ["1", "2", "3"]) == {("1", "n1"), ("2", "n2")}
    assert running_jobs(store, ["3"]) == set()
    assert running_jobs(store, []) == set()
