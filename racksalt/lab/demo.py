"""``racksalt demo``: the example site's rack, from power-on to ready, on this machine, without root.

A real Salt master with the conductor, the boot API and GraphQL, and eight virtual machines that are powered on over
IPMI and end as real minions; the one with a bad disk parks, and says why. Nothing is left running, however this ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live

from racksalt.adapters.site_files import SiteFolder, write_site
from racksalt.bootstrap import App
from racksalt.cli_output import node_table
from racksalt.lab.bmc import read_log
from racksalt.lab.processes import LabError
from racksalt.lab.rack import Rack
from racksalt.model.errors import InvalidInputError, RacksaltError
from racksalt.share import share_dir

EXAMPLE = 8
"""Nodes of the example site; for another number a site is made up."""
PARKED = "-bad-disk"
LONGEST_S = 180.0
"""Within three minutes on two cores all is proved: so it is promised for the example, from the master's start on."""
ZONES, RACKS = 2, 4
PAUSE_S = 0.5
WIDTH = 96
QUERY = """{
  zones {
    name
    racks { name nodes { name state } }
  }
}"""
_SETTLED = ("ready", "problem")


class DemoError(RuntimeError):
    """Something that the demo promises is not true; the message says what."""


def run(nodes: int = EXAMPLE, exit_when_done: bool = False) -> int:
    """Run the demo; return 0 if all that it promises was true. Without ``exit_when_done`` it stays until Ctrl-C."""
    # Whether the master is up is found out by asking; Salt would tell of each unanswered question at the end.
    logging.getLogger("salt").setLevel(logging.CRITICAL)
    console = Console()
    root = Path(tempfile.mkdtemp(prefix="racksalt-"))
    status = 1
    with _told_to_stop():
        try:
            status = _run(console, root, nodes, exit_when_done)
        except (DemoError, LabError, RacksaltError) as error:
            console.print("[bold red]failed:[/]", end=" ")
            _line(console, str(error))
        except KeyboardInterrupt:
            _line(console, "stopped")
        finally:
            _keep_quiet()
            if status == 0:
                shutil.rmtree(root, ignore_errors=True)
            else:
                _line(console, f"logs are kept in {root}")
    return status


def _run(console: Console, root: Path, nodes: int, exit_when_done: bool) -> int:
    rack = Rack(root)
    names = _site(rack, nodes)
    began = time.monotonic()
    _line(
        console,
        f"racksalt: a Salt master, two APIs and {len(names)} virtual machines below {root}",
    )
    try:
        rack.start()
        _line(
            console,
            f"all up after {time.monotonic() - began:.0f} s; their BMCs are told to power on",
        )
        app = rack.open()
        try:
            _keep_promises(console, rack, app, names, began)
            if not exit_when_done:
                _stay(console, rack)
        finally:
            app.close()
    finally:
        _keep_quiet()
        rack.stop()
    left = rack.left_running()
    if left:
        raise DemoError(f"processes are left: {left}")
    _line(console, "nothing is left running")
    return 0


def _stay(console: Console, rack: Rack) -> None:
    """Stay up until Ctrl-C, which ends well now that all is proved. Raises DemoError when a part of it dies."""
    _line(console, "\nCtrl-C ends it.")
    try:
        while _all_run(rack):
            time.sleep(PAUSE_S)
    except KeyboardInterrupt:
        _line(console, "\nstopping")
        return
    raise DemoError("a part of it died")


def _site(rack: Rack, nodes: int) -> list[str]:
    """Give the rack the example site, or for another number of nodes one like it; return the node ids."""
    if nodes == EXAMPLE:
        rack.use_site(share_dir("pillar"))
        return sorted(SiteFolder(rack.installation.site).declarations().nodes)
    if not 2 <= nodes <= 99:
        raise InvalidInputError(
            f"the demo takes 2 to 99 nodes, not {nodes}", "leave out --nodes for 8"
        )
    names = [f"n{number}" for number in range(1, nodes)] + [f"n{nodes}{PARKED}"]
    rack.use_nodes(names, racks=RACKS)
    policy = {"approve": "manifest", "auto_commission": True, "goal": "ready"}
    write_site(rack.installation.site, {"site/policy.yaml": {"policy": policy}})
    return names


def _keep_promises(console: Console, rack: Rack, app: App, names: list[str], began: float) -> None:
    """Follow the nodes, prove that all is as promised, and introduce it. Raises DemoError where it is not, or is late.

    More nodes than the example's have so much more time.
    """
    longest_s = LONGEST_S * max(1.0, len(names) / EXAMPLE)
    _follow(console, app, names, began + longest_s)
    _line(console, f"settled after {time.monotonic() - began:.0f} s\n")
    _prove(console, rack, app, names)
    _introduce(console, rack, app, names)
    took_s = time.monotonic() - began
    if took_s > longest_s:
        raise DemoError(f"all is true, but after {took_s:.0f} s instead of {longest_s:.0f} s")


def _follow(console: Console, app: App, names: list[str], end: float) -> None:
    """Show all nodes until each is ready or parked. Raises DemoError when it is past ``end``."""
    with _progress(console) as show:
        while True:
            found = app.operations.list_nodes()
            show(found)
            if len(found) == len(names) and all(node["state"] in _SETTLED for node in found):
                return
            if time.monotonic() > end:
                states = {node["id"]: node["state"] for node in found}
                late = [name for name in names if states.get(name) not in _SETTLED]
                raise DemoError(f"still on their way when time was up: {', '.join(late)}")
            time.sleep(PAUSE_S)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Give a function that shows the nodes: a live table on a terminal, one line for each change elsewhere."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda nodes: live.update(node_table(nodes))
        return
    seen: dict[str, tuple[str, str]] = {}
    began = time.monotonic()

    def show(nodes: list[dict[str, Any]]) -> None:
        moved: dict[tuple[str, str], list[str]] = {}
        for node in nodes:
            now = (node["state"], node["stage"] or "")
            if seen.get(node["id"]) != now:
                seen[node["id"]] = now
                moved.setdefault(now, []).append(node["id"])
        for (state, stage), names in moved.items():
            after = time.monotonic() - began
            _line(console, f"{after:6.1f} s  {state:<14} {stage:<10} {' '.join(names)}".rstrip())

    yield show


def _prove(console: Console, rack: Rack, app: App, names: list[str]) -> None:
    """Check what the demo promises, and show it. Raises DemoError."""
    expected = _expected(names)
    good = {name for name, state in expected.items() if state == "ready"}
    states = {node["id"]: node["state"] for node in app.operations.list_nodes()}
    if states != expected:
        wrong = {name: state for name, state in states.items() if state != expected.get(name)}
        missing = sorted(set(expected) - set(states))
        raise DemoError(f"not where they should be: {wrong}; missing: {missing}")
    _check_power(rack, names)
    answered = rack.salt("*", "test.ping")
    _line(console, f"$ salt '*' test.ping            → True from {', '.join(sorted(answered))}")
    if set(answered) != good or not all(value is True for value in answered.values()):
        raise DemoError(f"test.ping: {answered}, not exactly {sorted(good)}")
    applied = rack.salt("*", "state.apply")
    well = {name for name, states in applied.items() if _went_well(states)}
    _line(console, f"$ salt '*' state.apply          → succeeded on {len(well)} of {len(good)}")
    if well != good:
        raise DemoError(f"state.apply: {json.dumps(applied)[:2000]}")
    for name in sorted(set(names) - good):
        why = app.operations.why(name)
        _line(console, f"$ racksalt node why {name} → {why['reason']}")
        if "failing" not in str(why["reason"]):
            raise DemoError(f"why {name} names no failing disk: {why}")


def _expected(names: list[str]) -> dict[str, str]:
    """Return the state in which each node ends."""
    return {name: "problem" if name.endswith(PARKED) else "ready" for name in names}


def _check_power(rack: Rack, names: list[str]) -> None:
    """Check in the BMCs' log that each machine was powered on over IPMI. Raises DemoError."""
    # What came in over Redfish is logged as session 0.
    told = {
        entry["bmc"]
        for entry in read_log(rack.installation.lab / "bmc.log")
        if entry["command"] == "power_on" and entry["code"] == 0 and entry["session"]
    }
    if told != set(names):
        raise DemoError(f"powered on over IPMI: {sorted(told)}, not exactly {sorted(names)}")


def _check_places(answer: dict[str, Any], names: list[str]) -> None:
    """Check that GraphQL tells of each node in its state, in so many zones and racks. Raises DemoError."""
    found = [
        (zone["name"], rack["name"], node["name"], node["state"])
        for zone in (answer.get("data") or {}).get("zones") or []
        for rack in zone["racks"]
        for node in rack["nodes"]
    ]
    states = sorted((name, state.lower()) for _, _, name, state in found)
    if answer.get("errors") or states != sorted(_expected(names).items()):
        raise DemoError(f"GraphQL tells of {states}, errors {answer.get('errors')}")
    zones, racks = {zone for zone, *_ in found}, {rack for _, rack, *_ in found}
    if (len(zones), len(racks)) != (ZONES, min(RACKS, len(names))):
        raise DemoError(f"in the zones {sorted(zones)} and racks {sorted(racks)}")


def _went_well(states: Any) -> bool:
    return (
        isinstance(states, dict)
        and bool(states)
        and all(isinstance(one, dict) and one.get("result") is True for one in states.values())
    )


def _introduce(console: Console, rack: Rack, app: App, names: list[str]) -> None:
    """Show a GraphQL query with its answer, which must be true, and where everything is. Raises DemoError."""
    settings = rack.installation.settings
    token = app.operations.token_create("demo", ["topology:read", "audit:read"], 86400)["secret"]
    url = f"http://{settings.graphql.host}:{settings.graphql.port}/graphql"
    answer = _ask(url, token, QUERY)
    _line(console, f"\nPOST {url}\n{QUERY}\n{_compact(answer.get('data'))}")
    _check_places(answer, names)
    file = rack.root / "token"
    file.touch(mode=0o600)
    file.write_text(token, encoding="utf-8")
    _line(
        console,
        f"\nGraphQL   {url} (a token is in {file})\n"
        f"boot API  {settings.boot_api.url}\n"
        f"Salt      salt -c {rack.master.config_file.parent} '*' test.ping\n"
        f"racksalt  RACKSALT_SETTINGS={rack.installation.settings_file} racksalt node list\n"
        f"machines  {rack.installation.lab}/*/console.log",
    )


def _line(console: Console, text: str) -> None:
    """Print text as it is: no markup, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _compact(value: Any, indent: str = "") -> str:
    """Return JSON that keeps on one line what fits there."""
    line = json.dumps(value)
    if len(line) + len(indent) <= WIDTH or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        inner = [_compact(item, deeper) for item in value]
        return f"[\n{deeper}" + f",\n{deeper}".join(inner) + f"\n{indent}]"
    inner = [f"{json.dumps(key)}: {_compact(item, deeper)}" for key, item in value.items()]
    return f"{{\n{deeper}" + f",\n{deeper}".join(inner) + f"\n{indent}}}"


def _ask(url: str, token: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own address
        url,
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def _all_run(rack: Rack) -> bool:
    return rack.master.pid is not None and all(
        child is not None and child.alive() for child in (rack.server, rack.lab)
    )


@contextlib.contextmanager
def _told_to_stop() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C, so that everything is stopped."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep_quiet() -> None:
    """From here on only the clean-up counts: a second Ctrl-C does not cut it short."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(run(exit_when_done="--exit" in sys.argv[1:] or "DEMO_EXIT" in os.environ))
