"""What a node knows of the jobs that racksalt gave it."""

import pathlib
import time

import salt.exceptions
import salt.payload
import salt.utils.minion
import salt.utils.state

# Between a job's arrival and its process file, and between that and its kept result.
_SETTLE_S = 0.5


def outcome(jid):
    """
    Return what became of a job: ``{"status": "running"}`` (or queued), ``{"status": "finished",
    "return": …}`` with all that was returned, or ``{"status": "unknown"}``. Needs ``cache_jobs: True``.

    jid
        the job's id, or a map from minion id to job id, which asks many minions at once

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_stage.outcome 20261123000102030405
    """
    if isinstance(jid, dict):
        jid = jid[__opts__["id"]]
    jid = f"{int(jid):020d}"  # the command line turns digits into a number
    for _ in range(2):
        kept = _kept(jid)
        if kept is not None:
            return {"status": "finished", "return": kept}
        if _running(jid) or _queued(jid):
            return {"status": "running"}
        time.sleep(_SETTLE_S)
    kept = _kept(jid)
    return {"status": "unknown"} if kept is None else {"status": "finished", "return": kept}


def _kept(jid):
    path = pathlib.Path(__opts__["cachedir"], "minion_jobs", jid, "return.p")
    try:
        kept = salt.payload.loads(path.read_bytes())
    except (OSError, ValueError, salt.exceptions.SaltDeserializationError):
        return None
    return kept if isinstance(kept, dict) and not kept.get("__no_return__") else None


def _running(jid):
    return any(str(job.get("jid")) == jid for job in salt.utils.minion.running(__opts__))


def _queued(jid):
    folders = (salt.utils.state.state_queue_dir(__opts__), salt.utils.state.job_queue_dir(__opts__))
    return any(name.endswith(f"_{jid}.p") for folder in folders for name in _names(folder))


def _names(folder):
    try:
        return [path.name for path in pathlib.Path(folder).iterdir()]
    except OSError:
        return []
