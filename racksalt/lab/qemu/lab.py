"""``racksalt lab qemu``: a rack of QEMU machines from power-on to ready, and then yours to play with.

It needs root for its network namespace and images that `racksalt image build` has made. It ends with Ctrl-C, and
leaves no process and no network, also when it is killed. Its folder goes too, unless it failed: then logs and consoles
are worth a look. What a lab left below the temporary folder is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from racksalt.adapters.site_files import write_site
from racksalt.bootstrap import App
from racksalt.lab.processes import LabError
from racksalt.lab.qemu import accel
from racksalt.lab.qemu.network import enter_namespace
from racksalt.lab.qemu.rack import QemuRack
from racksalt.lab.qemu.site import documents, make_specs
from racksalt.lab.rack import states_of
from racksalt.model.errors import InvalidInputError, RacksaltError

PREFIX = "racksalt-qemu-"
MOST = 16
PAUSE_S = 1.0
_SETTLED = frozenset({"ready", "problem"})


def run(
    nodes: int,
    images: Path,
    *,
    uefi_every: int = 3,
    exit_when_done: bool = False,
    timeout_s: float = 3600.0,
) -> int:
    """Bring ``nodes`` QEMU machines to ready; return 0 if all got there, 1 otherwise.

    Stays until Ctrl-C once all are settled, ready or not, unless told to exit; Ctrl-C before that is 1.
    """
    if not 1 <= nodes <= MOST:
        raise InvalidInputError(
            f"a QEMU lab of {nodes} machines", f"1 to {MOST}: each takes 1.3 GiB"
        )
    if not (images / "x86_64" / "vmlinuz").is_file():
        raise InvalidInputError(
            f"no images in {images}", "build them with `racksalt image build`, or give --images"
        )
    # Whether the master is up is found out by asking; Salt would tell of each unanswered question.
    logging.getLogger("salt").setLevel(logging.CRITICAL)
    _told_to_stop()
    try:
        enter_namespace()
        with folder() as root:
            return _run(root, nodes, images, uefi_every, exit_when_done, timeout_s)
    except (LabError, RacksaltError) as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 1


def _run(
    root: Path, nodes: int, images: Path, uefi_every: int, exit_when_done: bool, timeout_s: float
) -> int:
    rack = QemuRack(root, images=images)
    specs = rack.use_machines(make_specs(nodes, uefi_every=uefi_every))
    write_site(rack.installation.site, documents(specs))
    chosen = accel.choose(images / "x86_64" / "vmlinuz")
    say(f"{nodes} machines below {root}, run by {chosen}")
    try:
        rack.start("--accel", chosen)
        app = rack.open()
        try:
            parked = follow(app, rack, timeout_s)
            _introduce(rack)
            _complain(parked)
            if not exit_when_done:
                return _stay(rack, parked)
        finally:
            app.close()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # from here on only the clean-up counts
        rack.stop()
    if parked:
        raise LabError(f"{len(parked)} of {nodes} machines are not ready: {', '.join(parked)}")
    return 0


def follow(app: App, rack: QemuRack, timeout_s: float) -> dict[str, str]:
    """Say each move of each node until all are settled; return those in problem, and why. Raises LabError."""
    began = time.monotonic()
    seen: dict[str, tuple[str, str]] = {}
    while time.monotonic() - began < timeout_s:
        found = app.operations.list_nodes()
        for node in found:
            now = (node["state"], node["stage"] or "")
            if seen.get(node["id"]) != now:
                seen[node["id"]] = now
                after = time.monotonic() - began
                say(f"{after:7.1f} s  {node['id']:<6} {now[0]:<14} {now[1]}".rstrip())
        if found and all(node["state"] in _SETTLED for node in found):
            parked = [node["id"] for node in found if node["state"] != "ready"]
            return {name: app.operations.why(name)["reason"] or "no reason" for name in parked}
        rack.check()
        time.sleep(PAUSE_S)
    raise LabError(f"not settled after {timeout_s:.0f} s: {states_of(app)}")


def _stay(rack: QemuRack, parked: Mapping[str, str]) -> int:
    """Stay up until Ctrl-C, which is a good end if no machine was in problem. Raises LabError when a part dies."""
    say("\nCtrl-C ends it.")
    try:
        while True:
            rack.check()
            time.sleep(PAUSE_S)
    except KeyboardInterrupt:
        say("\nstopping")
    return 1 if parked else 0


def _complain(parked: Mapping[str, str]) -> None:
    """Say which machines did not get there, and why."""
    for name, reason in parked.items():
        say(f"in problem: {name}: {reason}")


def _introduce(rack: QemuRack) -> None:
    """Say where everything is."""
    enter = f"nsenter --net=/proc/{os.getpid()}/ns/net"
    installation = rack.installation
    say(
        f"\nfrom another shell, with the lab's network:  {enter} bash\n"
        f"consoles  {installation.lab}/*/console.log\n"
        f"racksalt  RACKSALT_SETTINGS={installation.settings_file} racksalt node list\n"
        f"Salt      salt -c {rack.master.config_file.parent} '*' test.ping\n"
        f"BMCs      ipmitool -I lanplus -H 127.0.0.1 -p PORT …, ports in {rack.machines_file}"
    )


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for one lab, removed at its end unless the lab failed; removes those of earlier labs first.

    Each lab holds a lock on its own folder's ``lock`` as long as it lives, however it ends: a folder of ours whose
    lock can be had belongs to nobody.
    """
    remove_dead(Path(tempfile.gettempdir()))
    root = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failed = False
        try:
            yield root
        except Exception:
            failed = True
            raise
        finally:
            if failed:
                say(f"logs and consoles are kept in {root} until the next lab")
            else:
                shutil.rmtree(root, ignore_errors=True)


def remove_dead(parent: Path) -> list[Path]:
    """Remove the folders of labs that are no more, killed or failed, and return which these were."""
    found = []
    for lock in parent.glob(f"{PREFIX}*/lock"):
        if lock.stat().st_uid != os.geteuid() or lock.parent.is_symlink():
            continue
        with contextlib.suppress(OSError), lock.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
            found.append(lock.parent)
    return found


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _told_to_stop() -> None:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C, so that everything is stopped."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
