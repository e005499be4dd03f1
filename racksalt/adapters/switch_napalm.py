"""Switches of many vendors by the NAPALM library: one merge, committed on trial, confirmed after a second look.

NAPALM is an extra (``racksalt[napalm]``). Its ``get_vlans`` does not tell tagged from untagged, so ports are read from
the running configuration.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from racksalt.adapters.switch_runner import secret_file
from racksalt.model.errors import RacksaltError, SwitchError
from racksalt.model.switch import Switch
from racksalt.network import switch_text
from racksalt.network.switch_plan import Step
from racksalt.network.switches import Observed, PortState

TRIAL_S: Final = 180
"""After how long a switch takes back, by itself, a change that was not confirmed."""
TIMEOUT_S: Final = 60
HIDDEN: Final = "********"
LOADED_TOGETHER: Final = frozenset({"napalm", "ncclient"})
"""The packages of which a failed import leaves parts behind."""
_LOADING: Final = threading.Lock()


class NapalmSwitches:
    """Observes and changes vendors' switches; ``secrets`` is the folder of their passwords."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets

    def observe(self, switch: Switch) -> Observed:
        """Return the switch as it is. Raises SwitchError."""
        with self._session(switch) as device:
            neighbours = device.get_lldp_neighbors()
            return Observed(
                ports=_ports(switch, device),
                settings=switch_text.SETTINGS,
                neighbours={
                    port: str(told[0]["hostname"])
                    for port, told in neighbours.items()
                    if told and port
                },
            )

    def apply(self, switch: Switch, steps: Sequence[Step]) -> None:
        """Carry out all steps in one commit. Raises SwitchError.

        The switch takes it on trial; racksalt logs in anew, reads it back and confirms. Without that, the switch goes
        back to what was before after ``TRIAL_S``, also when the commit has cut racksalt off.
        """
        with self._session(switch) as device:
            before = _ports(switch, device)
            wanted = _after(before, steps)
            pairs = [(before[name], port) for name, port in wanted.items()]
            device.load_merge_candidate(config=switch_text.written(_platform(switch), pairs))
            if not device.compare_config():
                device.discard_config()
                return
            try:
                device.commit_config(revert_in=TRIAL_S)
            except NotImplementedError:
                device.discard_config()
                raise SwitchError(
                    f"{switch.name}: this platform cannot take a change on trial",
                    "NAPALM's `commit_config(revert_in=…)` is needed",
                ) from None
            try:
                self._look_again(switch, wanted)
            except RacksaltError:
                with contextlib.suppress(Exception):  # it goes back by itself in any case
                    device.rollback()
                raise
            device.confirm_commit()

    def close(self) -> None:
        """Nothing is kept open."""

    def _look_again(self, switch: Switch, wanted: dict[str, PortState]) -> None:
        """Prove by another login that the switch still answers and has what was committed."""
        with self._session(switch) as other:
            now = _ports(switch, other)
        wrong = [name for name, port in wanted.items() if now.get(name) != port]
        if wrong:
            raise SwitchError(f"{switch.name} did not take the change on {', '.join(wrong[:8])}")

    @contextlib.contextmanager
    def _session(self, switch: Switch) -> Iterator[Any]:
        path = secret_file(self._secrets, switch.secret or "")
        password = path.read_text(encoding="utf-8").strip("\r\n")
        options: dict[str, Any] = dict(switch.options)
        if switch.port:
            options["port"] = switch.port
        device = _driver(switch)(
            hostname=switch.address or "",
            username=switch.username,
            password=password,
            timeout=TIMEOUT_S,
            optional_args=options,
        )
        try:
            device.open()
            try:
                yield device
            finally:
                device.close()
        except RacksaltError:
            raise
        except Exception as error:  # noqa: BLE001 - each vendor's library has exceptions of its own
            told = f"{type(error).__name__}: {error}".replace(password or HIDDEN, HIDDEN)
            one_line = " ".join(told.split())[:300]
            # Not chained: the libraries' exceptions carry what they were called with.
            raise SwitchError(
                f"{switch.name}: {one_line}", "is it reachable and the login good?"
            ) from None


def _driver(switch: Switch) -> Any:
    try:
        with _LOADING:
            _forget_salts_attempt()
            from napalm import get_network_driver  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "napalm"
        trouble = "is not installed here" if missing else f"does not load: {error}"
        raise SwitchError(
            f"{switch.name}: the NAPALM library {trouble}", "pip install 'racksalt[napalm]'"
        ) from None
    return get_network_driver(_platform(switch))


def _forget_salts_attempt() -> None:
    """Let NAPALM be imported as if Salt's loader had never tried to.

    That loader has the runners' folder in ``sys.path`` while it loads one. Its ``net`` imports NAPALM, whose
    ``ncclient`` then takes the runner ``ssh`` for ssh-python, and fails. What had been loaded until then stays in
    ``sys.modules`` without its parent; a later import would find it there and not bind it to the new parent.
    """
    taken = sys.modules.get("ssh")
    if taken is not None and not hasattr(taken, "__path__"):
        sys.modules.pop("ssh", None)
    if "napalm" not in sys.modules:
        for name in [one for one in sys.modules if one.partition(".")[0] in LOADED_TOGETHER]:
            sys.modules.pop(name, None)


def _platform(switch: Switch) -> str:
    return switch.platform or "mock"


def _ports(switch: Switch, device: Any) -> dict[str, PortState]:
    """Return all ports of the switch with what its running configuration says of them."""
    names = sorted(device.get_interfaces())
    junos = switch.platform == "junos"
    asked = {"retrieve": "running", **({"format": "set"} if junos else {})}
    return switch_text.read(_platform(switch), device.get_config(**asked)["running"], names)


def _after(before: dict[str, PortState], steps: Sequence[Step]) -> dict[str, PortState]:
    found: dict[str, PortState] = {}
    for step in steps:
        value = switch_text.one_line(step.after) if step.kind == "description" else step.after
        port = found.get(step.port) or before[step.port]
        found[step.port] = port.having(step.kind, value)
    return found
