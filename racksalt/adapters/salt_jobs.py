"""Stages as Salt jobs: published under the conductor's job id, read back from the master's job cache.

A job id runs once: a minion skips an id that it has seen (``jid_queue``), the job cache keeps the
first return of each minion, and ``outcomes`` asks the minions before anything is sent again.
Minions need ``cache_jobs: True``, so that a result outlives a master that was away when it came.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import salt.utils.jid

from racksalt.adapters.salt_client import SaltClient
from racksalt.adapters.salt_pings import Pings
from racksalt.adapters.salt_questions import Questions
from racksalt.conductor.ports import JobRequest, JobResult, Outcome
from racksalt.model.errors import InvalidInputError, NotFoundError, RacksaltError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from racksalt.adapters.salt_client import Opts

log = logging.getLogger(__name__)

MESSAGE_CHARS = 400
FRESH_S = 4.0
"""How long a question about a job is left alone: on a busy machine another one would only delay the answer."""
_JID = re.compile(r"[0-9]{20}")
_TORN_AFTER_S = 5.0
_OUTCOMES: dict[str, Outcome] = {"running": "running", "unknown": "lost"}


class SaltJobs:
    """The port ``Jobs`` on a Salt master."""

    def __init__(self, opts: Opts) -> None:
        self._client = SaltClient(opts)
        self._pings = Pings(self._client)
        self._open, self._anew = Questions[tuple[str, str]](), set[str]()
        self._opts = opts

    def submit(self, requests: Sequence[JobRequest]) -> None:
        """Publish each job under its own id; the same id twice runs once. Does not wait.

        Every job is tried before the first error is raised: InvalidInputError for an id that is not
        20 digits, and what SaltClient.publish raises.
        """
        errors: list[RacksaltError] = []
        for request in requests:
            try:
                self._submit(request)
            except RacksaltError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _submit(self, request: JobRequest) -> None:
        """Publish one job."""
        if not _JID.fullmatch(request.jid):
            message = f"the job id {request.jid!r} of {request.node} is not 20 digits"
            raise InvalidInputError(message, "take the id from the conductor")
        kwarg: dict[str, Any] = {"queue": True}
        if request.pillar:
            kwarg["pillar"] = request.pillar
        self._client.publish(
            [request.node], "state.apply", [request.sls], jid=request.jid, kwarg=kwarg
        )

    def results(self, wanted: Iterable[tuple[str, str]]) -> list[JobResult]:
        """Return what the job cache has for these (jid, node) pairs, and reads no other node's returns."""
        return [
            _judged(jid, node, ret)
            for jid, nodes in _by_jid(wanted).items()
            for node, ret in self._client.returns.of(jid, nodes).items()
        ]

    def stored(self, jid: str, node: str) -> bool:
        """Say whether the job cache has this node's return already."""
        return bool(self._client.returns.there(jid, [node]))

    def outcomes(
        self, wanted: Sequence[tuple[str, str]], timeout_s: float
    ) -> dict[tuple[str, str], Outcome]:
        """Ask the minions of these (jid, node) pairs in one publication; store the results that they kept.

        A minion that does not answer in time is left out: silence proves nothing, the deadline decides. Its late answer
        is found by a later call. It is asked again when it connected anew, or after FRESH_S.
        """
        found: dict[tuple[str, str], Outcome] = {
            (jid, node): "finished"
            for jid, nodes in _by_jid(wanted).items()
            for node in self._client.returns.there(jid, nodes)
        }
        jids = {node: jid for jid, node in wanted if (jid, node) not in found}
        said = self._late(jids)
        due = {n: jid for n, jid in jids.items() if n not in said and self._is_due(jid, n)}
        said |= self._ask(due, timeout_s) if due else {}
        self._open.answered((jids[node], node) for node in said)
        for node, answer in said.items():
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "finished" and isinstance(answer.get("return"), dict):
                if self._take_over(jids[node], node, answer["return"]):
                    found[jids[node], node] = "finished"
            elif isinstance(status, str) and status in _OUTCOMES:
                found[jids[node], node] = _OUTCOMES[status]
        return found

    def _ask(self, jids: dict[str, str], timeout_s: float) -> dict[str, Any]:
        """Return what the minions say of their jobs, given as {node: jid}."""

        def begun(question: str) -> None:
            self._anew.difference_update(jids)
            self._open.note([(jid, node) for node, jid in jids.items()], question)

        try:
            return self._client.ask(jids, "racksalt_stage.outcome", [jids], timeout_s, begun)
        except NotFoundError:
            return {}

    def _is_due(self, jid: str, node: str) -> bool:
        """Say whether there is a reason to ask this minion about its job again."""
        fresh = self._open.about((jid, node), self._open.clock() - FRESH_S)
        return node in self._anew or not fresh

    def _late(self, jids: dict[str, str]) -> dict[str, Any]:
        """Return what minions said too late, by the newest answer of each."""
        found = {}
        for node, jid in jids.items():
            for question in self._open.about((jid, node)):
                ret = self._client.returns.of(question.jid, [node]).get(node)
                if ret is not None and not ret.get("retcode"):
                    found[node] = ret.get("return")
        return found

    def answering(self, since: Mapping[str, float], timeout_s: float) -> set[str]:
        """Return the nodes whose minion answers ``test.ping``, by their own keys; late answers count, see the port."""
        return self._pings.answering(since, timeout_s)

    def connected(self, nodes: Iterable[str]) -> None:
        """Ask these minions anew when next they matter."""
        names = set(nodes)
        self._pings.connected(names)
        self._anew |= names.intersection(node for _, node in self._open.abouts())

    def _take_over(self, jid: str, node: str, ret: dict[str, Any]) -> bool:
        """Store a result that the minion kept; say whether it is stored now.

        What one minion says it kept may be anything, and must not hide what the others kept.
        """
        try:
            self._restore(jid, node, ret)
        except Exception:
            log.exception("%s: the kept result of job %s cannot be stored", node, jid)
        return self.stored(jid, node)

    def _restore(self, jid: str, node: str, ret: dict[str, Any]) -> None:
        """Put a result that the minion kept into the job cache, as the master would have."""
        cache = self._opts["master_job_cache"]
        returners = self._client.local().returners
        returners[f"{cache}.prep_jid"](False, passed_jid=jid)
        kept = ("return", "retcode", "success", "out")
        load: dict[str, Any] = {key: ret[key] for key in kept if key in ret}
        load.update(jid=jid, id=node, fun=str(ret.get("fun", "state.apply")))
        if returners[f"{cache}.returner"](load) is False and cache == "local_cache":
            self._clear_torn(jid, node)
            returners[f"{cache}.returner"](load)
        log.info("%s: took over the kept result of job %s", node, jid)

    def _clear_torn(self, jid: str, node: str) -> None:
        """Remove a return folder that a killed master left without its file; it would block for ever."""
        jobs = str(Path(self._opts["cachedir"]) / "jobs")
        folder = Path(salt.utils.jid.jid_dir(jid, jobs, self._opts["hash_type"])) / node
        if folder.is_dir() and not (folder / "return.p").exists():
            age_s = time.time() - folder.stat().st_mtime
            if age_s >= _TORN_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)


def _by_jid(wanted: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the nodes of each job."""
    found: dict[str, set[str]] = {}
    for jid, node in wanted:
        found.setdefault(jid, set()).add(node)
    return found


def _judged(jid: str, node: str, ret: dict[str, Any]) -> JobResult:
    """Read one stored return; one that makes no sense is a failed one, and hides no other."""
    try:
        return result_of(jid, node, ret)
    except Exception as error:
        log.warning("%s: the return of job %s makes no sense", node, jid, exc_info=True)
        message = f"what {node} returned for job {jid} makes no sense: {type(error).__name__}"
        return JobResult(jid=jid, node=node, ok=False, message=message)


def result_of(jid: str, node: str, ret: dict[str, Any]) -> JobResult:
    """Read one stored return of ``state.apply``: good only if every state says True and retcode is 0."""
    states = ret.get("return")
    retcode = ret.get("retcode", 0)
    if not isinstance(states, dict):
        # Salt says in a text why it ran no state at all ("Pillar timed out": its master was away).
        return JobResult(jid=jid, node=node, ok=False, ran=False, message=_short(_text(states)))
    chunks = sorted(
        ((name, one) for name, one in states.items() if isinstance(one, dict)),
        key=lambda pair: pair[1].get("__run_num__", 0),
    )
    data: dict[str, Any] = {}
    for _, one in chunks:
        if isinstance(one.get("data"), dict):
            data.update(one["data"])
    failed = next((pair for pair in chunks if pair[1].get("result") is not True), None)
    if failed:
        message = f"{_label(*failed)}: {_text(failed[1].get('comment'))}"
        return JobResult(jid=jid, node=node, ok=False, message=_short(message), data=data)
    if retcode or len(chunks) != len(states) or not chunks:
        message = "" if chunks else "the stage has no states"
        message = message or f"Salt reports return code {retcode}"
        return JobResult(jid=jid, node=node, ok=False, message=message, data=data)
    return JobResult(jid=jid, node=node, ok=True, message=f"{len(chunks)} states", data=data)


def _label(name: str, one: dict[str, Any]) -> str:
    """Return the state's id as its author wrote it."""
    return str(one.get("__id__") or name.split("_|-")[1 if "_|-" in name else 0])


def _text(value: Any) -> str:
    """Return any comment that Salt gives (text, or a list of texts) as one line."""
    lines = value if isinstance(value, list) else [value]
    return " ".join(" ".join(str(line).split()) for line in lines if line)


def _short(text: str) -> str:
    """Cut a message to a length that fits a table."""
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 1] + "…"
