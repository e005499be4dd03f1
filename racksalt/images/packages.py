"""Steps that fetch from the distribution: a root made of packages, and single packages unpacked."""

from __future__ import annotations

import email.utils
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from racksalt.images import tools
from racksalt.images.recipe import Recipe, tree_digest
from racksalt.images.steps import Workshop
from racksalt.model.errors import ImageError

_DEBIAN_ARCH = {"x86_64": "amd64"}
# Never unpacked, in no image: documentation and other languages.
_NOT_UNPACKED = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"),
    *("/usr/share/lintian/*", "/usr/share/bug/*", "/usr/share/doc-base/*"),
)
_KEPT = ("/usr/share/doc/*/copyright",)
CONFIGURED = 1_704_067_200
"""The time that packages' scripts are told, so that they write the same at every build."""
PLACES = ("opt/racksalt/salt", "etc/racksalt", "etc/salt/minion.d", "var/cache/salt/minion/extmods")
"""Folders that are in every image before anything is mounted or put there."""


def root(
    workshop: Workshop, recipe: Recipe, sources: str, kernel: str = "", early: Path | None = None
) -> Path:
    """Return a folder with ``root`` (the packages, configured) and ``release`` (see `epoch`).

    ``kernel`` is a package that is installed too, ``early`` a folder of files that are there before
    packages are configured. What came from elsewhere than the packages (host
    keys, machine id, logs) is gone; the byte code of the distribution's Python is in place.
    """
    included = [*recipe.packages, *([kernel] if kernel else [])]

    def make(folder: Path) -> None:
        (folder / "apt.sources").write_text(sources, encoding="utf-8")
        tree = folder / "root"
        options = [f"--dpkgopt=path-exclude={glob}" for glob in _NOT_UNPACKED]
        options += [f"--dpkgopt=path-include={glob}" for glob in _KEPT]
        if early is not None:
            copied = f'cp -R --preserve=mode {shlex.quote(str(early))}/. "$1"/'
            options.append(f"--essential-hook={copied}")
        program = [
            *("mmdebstrap", "--mode=root", f"--variant={recipe.variant}", "--format=directory"),
            *(f"--include={','.join(included)}", '--aptopt=APT::Install-Recommends "false"'),
            *('--aptopt=Acquire::Languages "none"', *options, "--skip=cleanup/apt/lists"),
            *(recipe.suite, str(tree), str(folder / "apt.sources")),
        ]
        env = {"SOURCE_DATE_EPOCH": str(CONFIGURED)}
        tools.run(program, workshop.log, alone=True, env=env)
        (folder / "release").write_text(_dates(tree / "var/lib/apt/lists"), encoding="utf-8")
        _tidy(tree)
        _compile(tree, recipe, workshop.log)

    files = tree_digest(early) if early is not None else ""
    inputs = [recipe.suite, recipe.variant, included, sources, recipe.python, files]
    return workshop.step(f"packages-{recipe.name}", inputs, make)


def unpacked(workshop: Workshop, recipe: Recipe, sources: str, names: Sequence[str]) -> Path:
    """Return a folder with the named packages' files below ``root``, not configured, and ``release``.

    The name of a package that only depends on another, as Debian's kernel packages without a
    version do, gives that other one.
    """

    def make(folder: Path) -> None:
        apt = _Apt(folder / "apt", recipe, sources, workshop)
        apt.update()
        (folder / "release").write_text(apt.release(), encoding="utf-8")
        versions = {}
        for name in names:
            real = apt.real(name)
            package = apt.download(real)
            tools.run(["dpkg-deb", "-x", str(package), str(folder / "root")], workshop.log)
            versions[real] = package.name.split("_")[1].replace("%3a", ":")
        lines = (f"{name} {version}\n" for name, version in sorted(versions.items()))
        (folder / "versions").write_text("".join(lines), encoding="utf-8")
        shutil.rmtree(folder / "apt")

    name = re.sub(r"[^a-z0-9]", "", names[0].lower())
    return workshop.step(f"unpacked-{name}", [recipe.suite, list(names), sources], make)


def versions(made: Path) -> dict[str, str]:
    """Return package -> version of what `root` or `unpacked` has made."""
    listed = made / "versions"
    if listed.is_file():
        return dict(line.split() for line in listed.read_text(encoding="utf-8").splitlines())
    program = ["dpkg-query", f"--admindir={made / 'root/var/lib/dpkg'}", "-W"]
    shown = subprocess.run(  # noqa: S603
        [*program, "-f=${Package} ${Version}\n"], capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in sorted(shown.stdout.splitlines()))


def epoch(*made: Path) -> int:
    """Return the instant (seconds since 1970) of the newest archive release that was used.

    It stands in for the time of the build: the same packages give the same bytes on any day.
    """
    found = [
        int(email.utils.parsedate_to_datetime(line.partition(":")[2].strip()).timestamp())
        for one in made
        for line in (one / "release").read_text(encoding="utf-8").split("\n")
        if line
    ]
    if not found:
        raise ImageError("the archive's release file has no date", "look at the build's log")
    return max(found)


def _dates(lists: Path) -> str:
    found = [
        line
        for path in sorted(lists.glob("*Release"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("Date:")
    ]
    return "\n".join(found) + "\n"


def _compile(tree: Path, recipe: Recipe, log: Path) -> None:
    """Replace byte code that knows its source's time by such that nothing has to look at that."""
    python = f"python{recipe.python}"
    if not (tree / "usr/bin" / python).exists():
        return
    unchecked = "-m compileall -qq -f --invalidation-mode unchecked-hash"
    script = (
        "find / -xdev -name __pycache__ -prune -exec rm -rf {} +\n"
        # What is written for another Python does not compile, and is imported by nobody.
        f"{python} {unchecked} /usr/lib/python3 /usr/lib/{python} || true"
    )
    tools.chroot(tree, script, log)


def _tidy(tree: Path) -> None:
    """Remove what differs from build to build or from machine to machine."""
    for pattern in (
        *("etc/ssh/ssh_host_*", "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname"),
        *("etc/resolv.conf", "var/log/**/*", "var/cache/apt/*", "var/cache/debconf/*-old"),
        *("var/lib/dpkg/*-old", "var/cache/ldconfig/aux-cache", "var/lib/systemd/random-seed"),
        *("etc/*-", "etc/apt/sources.list.d/*", "etc/.pwd.lock", "var/lib/apt/lists/*"),
        *("tmp/*", "run/*", "var/lib/systemd/catalog/database"),
    ):
        for path in tree.glob(pattern):
            if path.is_symlink() or path.is_file():
                path.unlink()
    for place in PLACES:
        (tree / place).mkdir(parents=True, exist_ok=True)


class _Apt:
    """An apt of its own below a folder: it reads nothing of the host's but the keys named by sources."""

    def __init__(self, folder: Path, recipe: Recipe, sources: str, workshop: Workshop) -> None:
        self._folder, self._log = folder, workshop.log
        for name in ("lists/partial", "cache/archives/partial", "etc/parts", "downloads"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.sources").write_text(sources, encoding="utf-8")
        configuration: Mapping[str, str] = {
            "Dir": str(folder),
            "Dir::State": str(folder),
            "Dir::State::Lists": str(folder / "lists"),
            "Dir::State::status": str(folder / "status"),
            "Dir::Cache": str(folder / "cache"),
            "Dir::Etc::SourceList": str(folder / "apt.sources"),
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Parts": str(folder / "etc/parts"),
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Architecture": _DEBIAN_ARCH[recipe.arch],
            "APT::Architectures": _DEBIAN_ARCH[recipe.arch],
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        lines = (f'{key} "{value}";\n' for key, value in configuration.items())
        (folder / "apt.conf").write_text("".join(lines), encoding="utf-8")
        self._env = {"APT_CONFIG": str(folder / "apt.conf")}

    def update(self) -> None:
        """Fetch the lists."""
        tools.run(["apt-get", "update"], self._log, env=self._env)

    def release(self) -> str:
        """Return the Date lines of the archive's release files."""
        return _dates(self._folder / "lists")

    def real(self, name: str) -> str:
        """Return the kernel package that a name without a version stands for, or the name itself."""
        if not name.startswith("linux-image-"):
            return name
        out = self._folder / "depends"
        out.unlink(missing_ok=True)
        tools.run(["apt-cache", "depends", "--important", name], out, env=self._env)
        found = re.findall(r"Depends: (linux-image-\S+)", out.read_text(encoding="utf-8"))
        return found[0] if found else name

    def download(self, name: str) -> Path:
        """Return the package file of ``name``, newest version."""
        into = self._folder / "downloads" / name
        into.mkdir()
        tools.run(["apt-get", "download", name], self._log, env=self._env, folder=into)
        return next(into.glob("*.deb"))
