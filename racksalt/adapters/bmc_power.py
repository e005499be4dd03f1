"""What all BMC ports share: worker processes, secrets, rate limit, circuit breaker, one operation per BMC at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from racksalt.adapters.bmc_defaults import FACTORY_LOGINS
from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.breaker import Breaker, BreakerSettings
from racksalt.adapters.ipmi_pool import WorkerLostError, WorkerPool
from racksalt.adapters.ipmi_worker import ACTIONS
from racksalt.model.errors import (
    BmcError,
    BmcRefusedError,
    BmcSuspendedError,
    BmcUnreachableError,
    SettingsError,
)
from racksalt.model.node import Bmc

log = logging.getLogger(__name__)


LONG = frozenset({"firmware", "sensors"})
LONG_S = 120.0
"""The limit of operations that are a request for every part of the machine: BMCs answer half a second each."""
SLOW_S = 1.0
"""A BMC whose last operation took longer gets a worker only from the half that is for BMCs under suspicion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcSettings:
    """How BMCs are treated. ``uefi``: the next boot is asked for in UEFI mode, not in legacy BIOS mode."""

    max_workers: int = 8
    uefi: bool = True
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


class _Line:
    """One BMC's turn: a lock, so that its operations come one at a time, its breaker, and whether it was slow."""

    __slots__ = ("breaker", "lock", "slow")

    def __init__(self, breaker: Breaker) -> None:
        self.lock = threading.Lock()
        self.breaker = breaker
        self.slow = False

    @property
    def is_suspect(self) -> bool:
        """Whether its next operation may take long."""
        return self.breaker.is_suspect or self.slow


class BmcPower:
    """Implements ``Power`` and ``Logins`` of `racksalt.conductor.ports`. May be used from many threads.

    ``pool`` may be shared between protocols; a pool that was given is not closed by `close`.
    A power action is sent at most once per call: when its answer is missing, BmcUnreachableError says that it may
    or may not have been carried out, and the caller observes before it decides.
    """

    protocol: ClassVar[str]
    budget_s: ClassVar[float]

    def __init__(
        self,
        secrets: BmcSecrets,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        settings: BmcSettings | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep
        self._settings = settings or BmcSettings()
        self._pool = pool or WorkerPool(self._settings.max_workers)
        self._owns_pool = pool is None
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()

    def observe(self, bmc: Bmc) -> Literal["on", "off"]:
        """Return the power state that the BMC reports now."""
        return "on" if self._run(bmc, "observe") == "on" else "off"

    def on(self, bmc: Bmc) -> None:
        """Ask the BMC once to switch on; whether it did is for the caller to observe."""
        self._run(bmc, "on")

    def off(self, bmc: Bmc) -> None:
        """Ask the BMC once to cut the power; whether it did is for the caller to observe."""
        self._run(bmc, "off")

    def boot_next(self, bmc: Bmc, device: Literal["network", "disk"]) -> None:
        """Choose the device of the next boot only."""
        self._run(bmc, "boot_next", device=device, uefi=self._settings.uefi)

    def is_suspect(self, bmc: Bmc) -> bool:
        """Say whether the BMC failed or was slow last time, or never worked; asks nobody and waits for nobody."""
        return self._line(self._key(bmc)).is_suspect

    def default_logins(self, bmc: Bmc) -> list[str]:
        """Return the user names whose factory password still works; one try each, which no breaker counts."""
        found = []
        for username, password in FACTORY_LOGINS:
            login = {"username": username, "password": password}
            if self._run(bmc, "login", login):
                found.append(username)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """End the workers, unless the pool is somebody else's."""
        if self._owns_pool:
            self._pool.close()

    def circuit(self, bmc: Bmc) -> Literal["closed", "open", "half_open"]:
        """Return the state of the BMC's circuit breaker, for people who ask why nothing happens."""
        return self._line(self._key(bmc)).breaker.state

    # ------------------------------------------------------------ one operation

    def _run(self, bmc: Bmc, op: str, login: dict[str, str] | None = None, **args: Any) -> Any:
        key = self._key(bmc)
        line = self._line(key)
        with line.lock:
            self._admit(bmc, line.breaker)
            job = {"key": key, "op": op, "args": args, **self._login(bmc), **(login or {})}
            if (wait_s := line.breaker.wait_s()) > 0:
                self._sleep(wait_s)
            return self._count(bmc, line, job)

    def _admit(self, bmc: Bmc, breaker: Breaker) -> None:
        retry_after_s = breaker.retry_after_s()
        if retry_after_s > 0:
            raise BmcSuspendedError(
                f"{_name(bmc)} is left alone for {retry_after_s:.0f} s after repeated failures",
                "check cable, address and credentials; it is tried again by itself",
                retry_after_s=retry_after_s,
            )

    def _count(self, bmc: Bmc, line: _Line, job: dict[str, Any]) -> Any:
        """Do the job and tell the breaker how it went."""
        breaker = line.breaker
        try:
            result = self._send(bmc, line, job)
        except BmcRefusedError as error:
            # A BMC that answers is well; one that does not let us in would lock the account if we went on.
            if error.detail.get("login"):
                breaker.failed()
            else:
                breaker.succeeded()
            raise
        except BmcUnreachableError as error:
            if not error.detail.get("queue"):
                breaker.failed()
                log.info("%s: %s: %s", _name(bmc), job["op"], error.message)
            raise
        breaker.succeeded()
        return result

    def _send(self, bmc: Bmc, line: _Line, job: dict[str, Any]) -> Any:
        doubt = "observe before repeating: it may have been done" if job["op"] in ACTIONS else ""
        try:
            budget_s = LONG_S if job["op"] in LONG else self.budget_s
            answer = self._pool.run(job, budget_s=budget_s, suspect=line.is_suspect)
        except WorkerLostError as error:
            raise BmcUnreachableError(f"{_name(bmc)}: the BMC worker {error}", doubt) from None
        line.slow = answer["took_s"] > SLOW_S
        if "error" not in answer:
            return answer["result"]
        message = f"{_name(bmc)}: {answer['message']}"
        kind: type[BmcError] = BmcRefusedError
        hint = answer["hint"]
        if answer["error"] == BmcUnreachableError.code:
            kind, hint = BmcUnreachableError, hint or doubt
        raise kind(message, hint, **answer["detail"])

    def _login(self, bmc: Bmc) -> dict[str, Any]:
        try:
            credential = self._secrets.resolve(bmc.secret)
        except SettingsError as error:
            # Nothing was sent and nothing that the breaker should count; tried again once the file is mended.
            raise BmcError(f"{_name(bmc)}: {error.message}", error.hint) from None
        return {
            "protocol": self.protocol,
            "address": bmc.address,
            "port": bmc.port,
            "username": bmc.username,
            "password": credential.password,
            "certificate_sha256": credential.certificate_sha256,
            "ca_file": credential.ca_file,
        }

    def _key(self, bmc: Bmc) -> str:
        return f"{self.protocol}://{bmc.username}@[{bmc.address}]:{bmc.port}"

    def _line(self, key: str) -> _Line:
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(Breaker(self._settings.breaker, self._clock))
            return line


def _name(bmc: Bmc) -> str:
    return f"BMC of {bmc.node} ({bmc.address}:{bmc.port})"
