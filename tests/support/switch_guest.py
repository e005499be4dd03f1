"""A Linux switch in QEMU: where this kernel's bridge cannot keep VLANs apart, a guest's can.

The guest is a kernel of the distribution and a RAM disk of this machine's own programs. It has a bridge that filters
VLANs, six ports ``swp1`` to ``swp6`` whose other ends are in network namespaces ``h1`` to ``h6``, lldpd on both sides
of ``swp1``, and an SSH server with a host key of its own. Nothing leads to it or out of it but one port on loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from tests.support.needs import lacking, need
from tests.support.waiting import wait_for

PROGRAMS = ("dash", "ip", "bridge", "dropbear", "dropbearkey", "lldpd", "lldpcli")
MODULES = ("virtio_pci", "virtio_net", "8021q", "bridge", "veth")
BUSYBOX = Path("/bin/busybox")
APPLETS = (
    "cat",
    "chmod",
    "grep",
    "insmod",
    "ls",
    "mkdir",
    "mount",
    "mv",
    "ping",
    "poweroff",
    "sleep",
)
START_S = 240.0

INIT = """#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run/lldpd /run/netns /var/run /tmp; mount -t devpts pts /dev/pts
for it in $(cat /modules/order); do insmod /modules/$it; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
ip link add bridge type bridge vlan_filtering 1; ip link set bridge up
for n in 1 2 3 4 5 6; do
  ip netns add h$n
  ip link add swp$n type veth peer name eth0 netns h$n
  ip link set swp$n master bridge up
  ip -n h$n link set lo up; ip -n h$n link set eth0 up
done
lldpd -M 4 -I 'swp*' -u /run/lldpd.socket -c
ip netns exec h1 lldpd -M 2 -I eth0 -u /run/h1.socket -c
lldpcli -u /run/lldpd.socket configure lldp tx-interval 5
dropbear -F -E -s -r /etc/hostkey -p 22
poweroff -f
"""


class SwitchGuest:
    """One running guest. ``port`` on loopback leads to its SSH server; ``key`` and ``host_key`` are for that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"
        self.host_key = ""
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Build the RAM disk, boot it, and wait until its SSH server answers."""
        kernel, modules = _kernel()
        for name in ("key", "hostkey"):
            _run("dropbearkey", "-t", "ed25519", "-f", str(self.folder / f"{name}.dropbear"))
        self.host_key = _public(self.folder / "hostkey.dropbear")
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        initrd = self.folder / "initrd"
        initrd.write_bytes(self._ram_disk(modules))
        with (self.folder / "console.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        "qemu-system-x86_64",
                        "-accel",
                        "tcg",
                        "-m",
                        "512",
                        "-nodefaults",
                        "-no-reboot",
                    ),
                    *("-display", "none", "-serial", "stdio", "-kernel", str(kernel)),
                    *("-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1"),
                    *("-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
                    *("-device", "virtio-net-pci,netdev=n"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        assert wait_for(self._answers, START_S, 0.3) is not None, self.console()

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def console(self) -> str:
        """Return what it printed."""
        return (self.folder / "console.log").read_text(errors="replace")

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell line on the switch, as somebody who logs in by hand."""
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        done = subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port)),
                *("-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"),
                *("-o", "ControlMaster=auto", "-o", "ControlPersist=60"),
                *("-o", f"ControlPath={self.folder}/hand", "root@127.0.0.1", " ".join(argv)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout} {done.stderr}"
        return done

    def programs(self, folder: Path) -> Path:
        """Return a folder of programs of the same names that run on the switch, for a minion's PATH."""
        folder.mkdir()
        self.run("true")  # the connection that they share
        login = f"ssh -F none -o ControlPath={self.folder}/hand root@127.0.0.1"
        for name in ("ip", "bridge", "lldpcli"):
            quoting = 'line=NAME; for word in "$@"; do line="$line \'$word\'"; done'
            script = f'#!/bin/sh\n{quoting}\nexec {login} "$line"\n'.replace("NAME", name)
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        return folder

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.console()
        return self.run("true", check=False).returncode == 0

    def _ram_disk(self, modules: list[Path]) -> bytes:
        files: dict[str, bytes | Path] = {
            "init": INIT.encode(),
            "bin/busybox": BUSYBOX,
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n_lldpd:x:101:101::/run:/bin/false\n",
            "etc/group": b"root:x:0:\n_lldpd:x:101:\n",
            "etc/shells": b"/bin/sh\n",
            "etc/os-release": b'PRETTY_NAME="switch guest"\n',
            "etc/hostkey": self.folder / "hostkey.dropbear",
            "root/.ssh/authorized_keys": self.key.with_suffix(".pub"),
            "modules/order": "\n".join(path.name for path in modules).encode() + b"\n",
        }
        files |= {f"modules/{path.name}": path for path in modules}
        for name in PROGRAMS:
            found = Path(shutil.which(name) or f"/usr/sbin/{name}")
            files[f"usr/sbin/{name}"] = found
            for library in re.findall(r"(/\S+\.so\S*)", _run("ldd", str(found))):
                files[library.lstrip("/")] = Path(library).resolve()
        return _cpio(
            files, {"bin/sh": "../usr/sbin/dash", **{f"bin/{name}": "busybox" for name in APPLETS}}
        )


def _cpio(files: dict[str, bytes | Path], links: dict[str, str]) -> bytes:
    """Return an archive in the newc format, as the kernel unpacks it (initramfs buffer format)."""
    out = bytearray()
    folders = {
        str(parent) for name in (*files, *links) for parent in Path(name).parents if parent.name
    }
    folders |= {"proc", "sys", "dev", "run", "tmp", "var"}

    def add(name: str, mode: int, data: bytes) -> None:
        size, length = len(data), len(name.encode()) + 1
        fields = (len(out), mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        out.extend(name.encode() + b"\0")
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(data)
        out.extend(b"\0" * (-len(out) % 4))

    for name in sorted(folders, key=lambda it: it.count("/")):
        add(name, stat.S_IFDIR | (0o700 if name.startswith("root") else 0o755), b"")
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        private = name in ("etc/hostkey", "root/.ssh/authorized_keys")
        add(name, stat.S_IFREG | (0o600 if private else 0o755), data)
    for name, target in links.items():
        add(name, stat.S_IFLNK | 0o777, target.encode())
    add("TRAILER!!!", 0, b"")
    return bytes(out)


def _kernel() -> tuple[Path, list[Path]]:
    """Return a kernel and the modules that the guest needs, in the order in which they are loaded."""
    root = unpacked()
    kernel = next((root / "boot").glob("vmlinuz-*"))
    (release,) = (root / "lib/modules").iterdir()
    by_name = {path.stem.replace("-", "_"): path for path in release.rglob("*.ko")}
    order: list[Path] = []

    def need(name: str) -> None:
        path = by_name[name]
        raw = path.read_bytes()
        found = re.search(rb"\0depends=([^\0]*)\0", raw)
        for other in (found[1].decode() if found else "").split(","):
            if other:
                need(other.replace("-", "_"))
        if path not in order:
            order.append(path)

    for name in MODULES:
        need(name)
    return kernel, order


def unpacked() -> Path:
    """Return the folder of a kernel's package, which ``tools/install-needs.sh`` fetched for this machine."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "racksalt-tests"
    found = sorted(base.glob("linux-image-*"))
    if not found:
        lacking(f"needs a kernel in {base}: tools/install-needs.sh fetches it")
    return found[-1]


def require_guest() -> None:
    """Skip the test for what is missing here, or fail where all of it is promised (CI=true)."""
    need("qemu-system-x86_64", "ssh", "ssh-keygen", "busybox", *PROGRAMS)
    if not BUSYBOX.exists() or "not a dynamic" not in _run("ldd", str(BUSYBOX), check=False):
        lacking("needs busybox-static")


def _public(key: Path) -> str:
    found = re.search(
        r"^(ssh-ed25519 \S+)", _run("dropbearkey", "-y", "-f", str(key)), re.MULTILINE
    )
    assert found
    return found[1]


def _run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + ("" if check else done.stderr)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
