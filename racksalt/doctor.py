"""Checks an installation, part by part, and says what to mend."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from racksalt.adapters.secret_files import open_secrets
from racksalt.adapters.site_files import check as check_site
from racksalt.bootstrap import open_app
from racksalt.conductor.networks import undeclared
from racksalt.dhcp_view import findings as dhcp_findings
from racksalt.model.errors import RacksaltError
from racksalt.model.node import Bmc
from racksalt.settings import Settings
from racksalt.store import Store

TIMEOUT_S = 3.0


class Finding(NamedTuple):
    """One check: what was looked at, whether it is well, what was seen, and what to do."""

    check: str
    ok: bool
    seen: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return all findings; a check that cannot be made is a finding too."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _secrets,
        _site,
        _database,
        _services,
        _master,
        _dhcp,
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(settings)
        except RacksaltError as error:
            found.append(Finding(check.__name__.strip("_"), False, error.message, error.hint))
        except OSError as error:
            found.append(
                Finding(
                    check.__name__.strip("_"), False, str(error), "mend it and run doctor again"
                )
            )
    return found


def _secrets(settings: Settings) -> Iterator[Finding]:
    open_secrets(settings.secrets)
    yield Finding("secrets", True, f"{settings.secrets} is private")


def _site(settings: Settings) -> Iterator[Finding]:
    problems = check_site(settings.site)
    for problem in problems:
        told = problem.as_dict()
        yield Finding(
            "site",
            told.get("severity") != "error",
            f"{told['file']}: {told['key']}: {told['message']}",
            told["hint"],
        )
    if not problems:
        yield Finding("site", True, f"{settings.site} makes sense")


def _database(settings: Settings) -> Iterator[Finding]:
    app = open_app(settings)
    try:
        yield Finding(
            "database", True, f"{app.store.count('nodes')} nodes, journal at {app.store.head()}"
        )
        yield _writes(app.store)
        if app.rules.problem is not None:
            yield Finding("stages", False, app.rules.problem.message, app.rules.problem.hint)
        for name in undeclared(app.store, app.site.declarations):
            yield Finding(
                "networks",
                True,
                f"{name} is served, but no file declares it",
                f"if no Salt state does either: racksalt site forget-network {name}",
            )
        for node in app.store.nodes(state="problem"):
            yield Finding(
                "nodes",
                False,
                f"{node.id} is in problem: {node.reason}",
                f"racksalt node why {node.id}",
            )
        without = {node.id for node in app.store.nodes()} - {
            bmc.node for bmc in app.store.all_of(Bmc)
        }
        for name in sorted(without):
            yield Finding(
                "nodes", False, f"{name} has no BMC", "declare its bmc in the site's files"
            )
    finally:
        app.close()


def _writes(store: Store) -> Finding:
    """Write something: a full disk can still be read, and shows nowhere else."""
    try:
        store.set_mark("doctor", int(time.time()))
    except RacksaltError as error:
        return Finding("writing", False, error.message, "make room on its disk, or mend its rights")
    return Finding("writing", True, "the database takes what is written")


def _services(settings: Settings) -> Iterator[Finding]:
    for name, host, port in (
        ("boot API", settings.boot_api.host, settings.boot_api.port),
        ("GraphQL", settings.graphql.host, settings.graphql.port),
    ):
        url = f"http://{host}:{port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                json.load(answer)
            yield Finding(name, True, f"{url} answers")
        except (OSError, ValueError) as error:
            yield Finding(name, False, f"{url}: {error}", "start it with `racksalt serve`")
        except HTTPException as error:
            yield Finding(
                name,
                False,
                f"{url}: what answers there speaks no HTTP ({type(error).__name__})",
                f"see what has port {port}: `ss -tlnp`; give one of the two another",
            )


def _dhcp(settings: Settings) -> Iterator[Finding]:
    store = Store(settings.database)
    try:
        yield from (Finding(*seen) for seen in dhcp_findings(settings, store))
    finally:
        store.close()


def _master(settings: Settings) -> Iterator[Finding]:
    host, _, port = settings.boot_api.master.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S):
            yield Finding("Salt master", True, f"{settings.boot_api.master} takes connections")
    except (OSError, ValueError) as error:
        yield Finding(
            "Salt master", False, f"{settings.boot_api.master}: {error}", "start salt-master"
        )
    if not settings.boot_api.master_finger:
        yield Finding(
            "master finger",
            False,
            "boot_api.master_finger is empty: booted nodes cannot pin the master",
            "docs/how-to/install-on-a-master says how it is had",
        )
    if Path(settings.secrets, "bmc.yaml").exists() is False:
        yield Finding(
            "BMC passwords",
            False,
            f"{settings.secrets}/bmc.yaml is missing",
            "see docs/how-to/real-bmcs",
        )
