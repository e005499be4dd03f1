"""The one composition root: picks the adapters and puts the parts together. Entry points call nothing else."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.adapters.erase_seal import EraseSeal
from racksalt.adapters.ipmi import IpmiPower
from racksalt.adapters.redfish import RedfishPower
from racksalt.adapters.secret_files import Secrets, open_secrets
from racksalt.adapters.settings_file import read_settings
from racksalt.adapters.simulated import (
    Links,
    NullKeys,
    SimulatedJobs,
    SimulatedPower,
)
from racksalt.adapters.site_files import SiteFolder
from racksalt.adapters.switch_drivers import switch_drivers
from racksalt.conductor import Conductor, World
from racksalt.conductor.access import Access
from racksalt.conductor.operations import Operations
from racksalt.conductor.ports import Jobs, Power
from racksalt.conductor.switching import SwitchOperations
from racksalt.conductor.view import Rules
from racksalt.garbage import collect_seldom
from racksalt.model.errors import RacksaltError, SettingsError, UnsoundMachineError
from racksalt.model.event import Event
from racksalt.model.node import Node
from racksalt.psm.kernel import Machine
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.settings import Settings
from racksalt.site.schema import Declarations
from racksalt.site.site import Site
from racksalt.store import Store

log = logging.getLogger(__name__)
ENVIRONMENT = "RACKSALT_SETTINGS"
SITE_SWEEP_S = 3.0
"""How often the site's files are looked at for new declarations."""
DEFAULT_PATH = "/etc/racksalt/racksalt.yaml"


def settings_from(path: str | Path | None = None) -> Settings:
    """Return the settings of ``path``, else of the file that RACKSALT_SETTINGS names, else of /etc/racksalt."""
    return read_settings(path or os.environ.get(ENVIRONMENT) or DEFAULT_PATH)


class SiteRules:
    """The rules as the site's files have them now; an unsound edit keeps the last good ones and is told once.

    Raises UnsoundMachineError where there are no last good ones: a new process starts not at all rather than with
    sequences that the site has changed.
    """

    def __init__(self, settings: Settings, site: Site, store: Store) -> None:
        self._settings, self._site, self._store = settings, site, store
        self.problem: RacksaltError | None = None
        self._base = Sequences(STAGES, SEQUENCES, MACHINE)
        self._declared: Declarations | None = None
        self._rules = self._made(self._base, Declarations())
        self()
        if self.problem is not None:
            raise UnsoundMachineError(
                f"the site's stages and sequences are not sound: {self.problem.message}",
                "mend them in the site's files (`racksalt site check` names them); a process that was started "
                "before goes on with the last good ones",
            ) from self.problem

    def __call__(self) -> Rules:
        """Return the rules; costs a few file time stamps when nothing changed."""
        declared = self._site.declarations
        if declared is not self._declared:
            self._declared = declared
            try:
                self._rules = self._made(self._base.extend(declared.additions), declared)
                self.problem = None
            except RacksaltError as error:
                self._rules = replace(self._rules, site=declared)
                self.problem = error
                log.error("the site's stages are not taken: %s", error)
        return self._rules

    def _made(self, sequences: Sequences, declared: Declarations) -> Rules:
        return Rules(
            machine=MACHINE,
            sequences=sequences,
            vouch=self._vouch,
            token_ttl_s=self._settings.boot_api.token_ttl_s,
            deadline_factor=self._settings.conductor.deadline_factor,
            goal=declared.policy.goal,
            site=declared,
        )

    def _vouch(self, node: Node, _event: Event) -> bool:
        """Say whether the site's policy lets this machine, which nobody declared, go on without a person.

        Those that came first have a place. Who has one is counted, not who was let in: of a batch of events, none is
        written before all are decided.
        """
        declared = self._site.declarations
        policy, limit = declared.policy, declared.policy.approve_limit
        if policy.approve != "auto" or node.approved or limit is None:
            return node.approved or policy.approve == "auto"
        return self._store.strangers_before(node, declared.nodes, limit) < limit


@dataclass(slots=True)
class App:
    """One process's racksalt."""

    settings: Settings
    secrets: Secrets
    store: Store
    site: Site
    rules: SiteRules
    conductor: Conductor
    operations: Operations
    switches: SwitchOperations
    machine: Machine = MACHINE
    _declared: Declarations | None = None

    @property
    def sequences(self) -> Sequences:
        """Return stages and sequences with the site's additions."""
        return self.rules().sequences

    def start(self) -> None:
        """Carry out effects from now on, and follow what the site's files declare."""
        collect_seldom()
        self.conductor.start()
        self.conductor.sweep("site", SITE_SWEEP_S, self._follow_site)

    def _follow_site(self) -> None:
        declared = self.site.declarations
        if declared is not self._declared:
            self.operations.declare()
            self._declared = declared

    def close(self) -> None:
        """End every thread and connection."""
        self.conductor.stop()
        for power in self.conductor.world.power.values():
            closing = getattr(power, "close", None)
            if closing is not None:
                closing()
        self.switches.close()
        self.store.close()


def open_app(
    settings: Settings, *, salt_opts: Mapping[str, Any] | None = None, world: World | None = None
) -> App:
    """Put an app together.

    Args:
        settings: where everything is.
        salt_opts: the Salt master's options, in a process of the master; None for one that never talks to Salt.
        world: other ports, for tests.
    """
    secrets = open_secrets(settings.secrets)
    store = Store(settings.database)
    site = Site(SiteFolder(settings.site))
    rules = SiteRules(settings, site, store)
    conductor = Conductor(
        store,
        rules,
        world or _world(settings, salt_opts),
        settings.conductor,
        secrets.boot,
        EraseSeal(secrets.erasure),
    )
    operations = Operations(conductor, site, Access(store, time.time, secrets.pepper))
    drivers = switch_drivers(settings.secrets, salt_opts)
    switches = SwitchOperations(store, site, drivers, conductor.world.clock)
    return App(settings, secrets, store, site, rules, conductor, operations, switches)


def shared_app(opts: Mapping[str, Any]) -> App:
    """Return this process's app for Salt's loader, which runs module files anew again and again.

    Raises:
        SettingsError: the master's configuration has no ``racksalt: {settings: path}``.
    """
    path = (opts.get("racksalt") or {}).get("settings")
    if not path:
        raise SettingsError(
            "the Salt configuration lacks racksalt: {settings: …}",
            "see conf/master.d/racksalt.conf",
        )
    return _shared(str(path), os.getpid())


def switches_of(opts: Mapping[str, Any]) -> SwitchOperations:
    """Return the operations on switches for a runner of the Salt master, which reaches switches' minions too."""
    app = shared_app(opts)
    drivers = switch_drivers(app.settings.secrets, opts)
    return SwitchOperations(app.store, app.site, drivers, time.time)


@lru_cache(maxsize=4)
def _shared(path: str, _pid: int) -> App:
    # The process id is part of the key: a forked worker must not use its parent's connections.
    return open_app(read_settings(path))


def _world(settings: Settings, salt_opts: Mapping[str, Any] | None) -> World:
    links = Links()
    ipmi, redfish = _bmcs(settings)
    power: dict[str, Power] = {
        "simulated": SimulatedPower(links),
        "ipmi": ipmi,
        "redfish": redfish,
    }
    jobs: dict[str, Jobs] = {}
    if settings.simulated:
        jobs["light"] = SimulatedJobs(settings.simulated, links)
    keys: Any = NullKeys()
    announcer: Any = None
    if salt_opts is not None:
        # Salt is imported only where there is a master: it costs half a second.
        from racksalt.adapters.salt_bus import SaltAnnouncer
        from racksalt.adapters.salt_jobs import SaltJobs
        from racksalt.adapters.salt_keys import SaltKeys

        opts = dict(salt_opts)
        jobs["salt"], keys, announcer = SaltJobs(opts), SaltKeys(opts), SaltAnnouncer(opts)
    return World(
        clock=time.time,
        spent=time.thread_time,
        power=power,
        jobs=jobs,
        keys=keys,
        announcer=announcer,
        agent_poll_s=settings.conductor.agent_poll_s,
        management={"redfish": redfish},
        logins={"ipmi": ipmi, "redfish": redfish},
    )


def _bmcs(settings: Settings) -> tuple[IpmiPower, RedfishPower]:
    secrets = BmcSecrets(Path(settings.secrets) / "bmc.yaml")
    return IpmiPower(secrets), RedfishPower(secrets)
