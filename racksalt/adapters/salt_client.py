"""The door to a Salt master's own files and sockets: options, one client per thread, and one way to ask minions.

Answers are read from the master's job cache, never from the bus: the master checks who sent a
return before it stores it, while any accepted minion can fire an event that looks like a return.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import salt.client
import salt.config
import salt.exceptions
import salt.utils.args

from racksalt import wire
from racksalt.adapters.salt_returns import Returns
from racksalt.model.errors import AgentUnreachableError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

Opts = dict[str, Any]
PUBLISH_TIMEOUT_S = 10
_LISTEN_S = 0.25
_SETTLE_S = 0.05  # a return's event comes a moment before its file in the job cache


def master_opts(config: str | Path) -> Opts:
    """Return the options of the Salt master whose configuration file is ``config``."""
    opts: Opts = salt.config.master_config(str(config))
    return opts


class SaltClient:
    """One LocalClient per thread (it is not safe to share one), made when the thread first asks."""

    def __init__(self, opts: Opts) -> None:
        self.opts = opts
        self.returns = Returns(opts, lambda: self.local().returners)
        self._own = threading.local()

    def local(self) -> Any:
        """Return this thread's LocalClient."""
        client = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = salt.client.LocalClient(
                mopts=self.opts, auto_reconnect=True
            )
        return client

    def forget(self) -> None:
        """Close this thread's LocalClient; the next call makes a new one."""
        client = getattr(self._own, "client", None)
        self._own.client = None
        if client is not None:
            client.destroy()

    def publish(
        self,
        nodes: Sequence[str],
        fun: str,
        arg: Sequence[Any] = (),
        *,
        jid: str = "",
        kwarg: dict[str, Any] | None = None,
        listen: bool = False,
    ) -> str:
        """Publish ``fun`` to the minions ``nodes`` and return the job id, without waiting for them.

        Raises NotFoundError when no such minion has an accepted key, AgentUnreachableError when
        the master does not take the job.
        """
        client = self.local()
        try:
            found = client.pub(
                list(nodes),
                fun,
                salt.utils.args.condition_input(list(arg), kwarg),
                tgt_type="list",
                jid=jid,
                timeout=PUBLISH_TIMEOUT_S,
                listen=listen,
            )
        except salt.exceptions.SaltException as error:
            self.forget()
            message = f"the Salt master did not take the job {fun}: {error}"
            raise AgentUnreachableError(message, "is salt-master running?") from error
        if not found or not found.get("jid"):
            message = f"none of {', '.join(nodes)[:200]} has an accepted key on this master"
            raise NotFoundError(message, "see salt-key -L")
        return str(found["jid"])

    def ask(
        self,
        nodes: Iterable[str],
        fun: str,
        arg: Sequence[Any],
        timeout_s: float,
        begun: Callable[[str], None] = lambda _jid: None,
    ) -> dict[str, Any]:
        """Run ``fun`` on the minions and return ``{minion: return}`` of those that answered in time.

        They are asked once: a minion that is slow because the machine is busy would be slower still
        if it were asked again. One without an accepted key or with a failed function is left out.
        ``begun`` is told the job id, under which a late answer can be looked up.
        """
        missing, answers = set(nodes), dict[str, Any]()
        deadline = time.monotonic() + timeout_s
        try:
            if missing:
                jid = self.publish(sorted(missing), fun, arg, listen=True)
                begun(jid)
                answers = self._gather(jid, missing, deadline)
        except NotFoundError:
            log.debug("none of %s has an accepted key", missing)
        finally:
            # A subscriber that does not read until it asks again would pile up events in the master.
            self.local().event.close_pub()
        return {node: ret.get("return") for node, ret in answers.items() if not ret.get("retcode")}

    def _gather(self, jid: str, missing: set[str], deadline: float) -> dict[str, Any]:
        """Return the stored returns of a job when all have answered or time is over."""
        hinted: set[str] = set()
        answers: dict[str, Any] = {}
        while missing:
            left = deadline - time.monotonic()
            heard = self._hear(jid, min(max(left, 0.0), _SETTLE_S if hinted else _LISTEN_S))
            hinted |= heard & missing
            if left <= 0 or (hinted and (not heard or hinted >= missing)):
                found = self.returns.of(jid, sorted(missing))
                answers.update(found)
                missing.difference_update(found)
                hinted &= missing
            if left <= 0:
                break
        return answers

    def _hear(self, jid: str, wait_s: float) -> set[str]:
        """Return who seems to have returned the job within ``wait_s``: a hint, since events can be forged."""
        event = self.local().event.get_event(
            wait=max(wait_s, 0.01), tag=f"salt/job/{jid}/ret/", full=True, auto_reconnect=True
        )
        returned = wire.job_returned(event["tag"]) if event else None
        return {returned[1]} if returned else set()
