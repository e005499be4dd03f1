"""What minions returned, read from the master's job cache: only what was asked for, and never for ever.

What a minion returns is its own choice, down to bytes that the master stores and nobody can decode
again. Salt's ``local_cache.get_jid`` reads all returns of a job and tries such a file again without
end, so it is not called: the one file of a job and a minion is read here (layout: ``jid_dir`` in
``salt/utils/jid.py``, ``RETURN_P`` in ``salt/returners/local_cache.py``).
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import salt.payload
import salt.utils.jid

from racksalt import wire
from racksalt.model.errors import AgentUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from racksalt.adapters.salt_client import Opts

log = logging.getLogger(__name__)

LOCAL = "local_cache"
RETURN_BYTES = 32 * 1024 * 1024
READ_TIMEOUT_S = 10.0
_AT_ONCE = 8
_asking = threading.BoundedSemaphore(_AT_ONCE)


class Returns:
    """The returns of minions in the job cache of the master with these ``opts``.

    ``returners`` gives Salt's returner functions by name, for a ``master_job_cache`` that is not in files.
    """

    def __init__(self, opts: Opts, returners: Callable[[], Mapping[str, Any]]) -> None:
        self._opts, self._returners = opts, returners

    def of(self, jid: str, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return ``{node: {"return", "retcode", …}}`` of those nodes that returned this job.

        A return that cannot be read is there as a failed one: text that says so, return code 1.
        Raises AgentUnreachableError when a job cache elsewhere does not answer within READ_TIMEOUT_S.
        """
        if self._opts["master_job_cache"] == LOCAL:
            found = {node: self._read(jid, node) for node in nodes}
            return {node: ret for node, ret in found.items() if ret is not None}
        stored = self._elsewhere(jid)
        return {node: _sound(jid, node, stored[node]) for node in nodes if node in stored}

    def there(self, jid: str, nodes: Iterable[str]) -> set[str]:
        """Return those of the nodes whose return of the job is stored, readable or not."""
        if self._opts["master_job_cache"] != LOCAL:
            return set(nodes) & self._elsewhere(jid).keys()
        paths = {node: self.path(jid, node) for node in nodes}
        return {node for node, path in paths.items() if path is not None and path.is_file()}

    def path(self, jid: str, node: str) -> Path | None:
        """Return where a node's return lies in ``local_cache``; None for a name that is no node's."""
        if not wire.NODE_ID.match(node):
            return None
        jobs = str(Path(self._opts["cachedir"]) / "jobs")
        return Path(salt.utils.jid.jid_dir(jid, jobs, self._opts["hash_type"])) / node / "return.p"

    def _read(self, jid: str, node: str) -> dict[str, Any] | None:
        """Return one stored return, None when there is none yet."""
        path = self.path(jid, node)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                raw = file.read(RETURN_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return _unreadable(jid, node, error.strerror or "it cannot be opened")
        if len(raw) > RETURN_BYTES:
            return _unreadable(jid, node, f"it has more than {RETURN_BYTES} bytes")
        try:
            found = salt.payload.loads(raw, encoding="utf-8")
        except Exception:
            # Salt raises what msgpack and its own decoders raise; the bytes are a minion's choice.
            log.warning("%s: job %s returned what cannot be decoded", node, jid, exc_info=True)
            return _unreadable(jid, node, "it cannot be decoded")
        return _sound(jid, node, found)

    def _elsewhere(self, jid: str) -> Mapping[str, Any]:
        """Ask a job cache that is not in files for all returns of a job."""
        fetch = self._returners()[f"{self._opts['master_job_cache']}.get_jid"]
        found = bounded(lambda: fetch(jid), READ_TIMEOUT_S)
        return found if isinstance(found, dict) else {}


def bounded(call: Callable[[], Any], timeout_s: float) -> Any:
    """Return what ``call`` returns, or raise AgentUnreachableError after ``timeout_s``.

    What hangs goes on hanging in a thread of its own; while _AT_ONCE of them hang, no more are begun.
    """
    answer: list[Any] = []
    if not _asking.acquire(timeout=timeout_s):
        raise AgentUnreachableError("the master's job cache hangs", "see `master_job_cache`")

    def run() -> None:
        try:
            answer.append(call())
        except Exception:
            log.exception("the master's job cache failed")
        finally:
            _asking.release()

    thread = threading.Thread(target=run, name="racksalt-job-cache", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not answer:
        message = f"the master's job cache gave no answer within {timeout_s:g} s"
        raise AgentUnreachableError(message, "see `master_job_cache` and the log")
    return answer[0]


def _sound(jid: str, node: str, found: Any) -> dict[str, Any]:
    """Return a stored return in the form that Salt documents for it."""
    if not isinstance(found, dict) or "return" not in found:
        return _unreadable(jid, node, "it is no return of a job")
    return found


def _unreadable(jid: str, node: str, why: str) -> dict[str, Any]:
    """Return what stands for a return that says nothing."""
    text = f"what {node} returned for job {jid} cannot be used: {why}"
    return {"return": text, "retcode": 1, "success": False}
