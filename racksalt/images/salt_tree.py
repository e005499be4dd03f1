"""The step that makes Salt for an image: the tested versions, for the image's Python, with byte code."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import shutil
import sys
from pathlib import Path

from racksalt.images import tools
from racksalt.images.recipe import Recipe
from racksalt.images.steps import Workshop
from racksalt.model.errors import ImageError
from racksalt.share import constraints, share_dir

PLACE = "opt/racksalt/salt"
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_LOADERS = ("modules", "states", "grains", "utils")
_COMMANDS = {"salt-minion": "salt_minion", "salt-call": "salt_call"}
_LAUNCH = """#!/{place}/bin/python3
import sys
from salt.scripts import {function}
sys.argv[0] = "/{place}/bin/{name}"
{function}()
"""


def salt(workshop: Workshop, recipe: Recipe, packages: Path) -> Path:
    """Return a folder whose content belongs to ``/opt/racksalt/salt`` of an image made of ``packages``."""
    pinned, wanted = _pinned(recipe.python), requirements(recipe)
    version = pinned.get("salt")
    if version is None:
        raise ImageError(f"{constraints()} pins no salt", "restore the file")

    def make(folder: Path) -> None:
        log = workshop.log
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        wheels, site = folder / "wheels", folder / f"lib/python{recipe.python}/site-packages"
        tools.run([*pip, "wheel", "--no-deps", "-w", str(wheels), f"salt=={version}"], log)
        (folder / "pins").write_text("".join(f"{n}=={v}\n" for n, v in pinned.items()))
        target = ["--target", str(site), "--no-compile", "--only-binary=:all:"]
        target += ["--python-version", recipe.python, "--implementation", "cp"]
        target += [word for name in _PLATFORMS for word in ("--platform", name)]
        what = ["-c", str(folder / "pins"), *wanted]
        tools.run([*pip, "install", "--no-warn-script-location", *target, *what], log)
        (wheel,) = wheels.glob("salt-*.whl")
        tools.run([*pip, "install", *target, "--no-deps", str(wheel)], log)
        shutil.rmtree(wheels)
        (folder / "pins").unlink()
        _tidy(site, recipe)
        _commands(folder, recipe)
        _compile(folder, packages / "root", recipe, log)

    inputs = [recipe.python, pinned, wanted, recipe.salt_without]
    return workshop.step(f"salt-python{recipe.python}", inputs, make)


def requirements(recipe: Recipe) -> list[str]:
    """Return what Salt asks for, without what the recipe leaves out."""
    asked = importlib.metadata.requires("salt") or []
    left_out = {_normal(name) for name in recipe.salt_without}
    found = {
        _normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0])
        for line in asked
        if "win32" not in line and 'python_version < "3.10"' not in line and "<=" not in line
    }
    return sorted(name for name in found - left_out if name in _pinned(recipe.python))


def loader_folders() -> list[Path]:
    """Return the folders of our modules that run on nodes."""
    found = (share_dir("salt") / f"_{name}" for name in _LOADERS)
    return [path for path in found if path.is_dir()]


def versions(made: Path) -> dict[str, str]:
    """Return distribution -> version of what is in Salt's folder."""
    found = importlib.metadata.distributions(
        path=[str(next((made / "lib").glob("*/site-packages")))]
    )
    return {f"python:{_normal(one.metadata['Name'])}": one.version for one in found}


def _pinned(python: str) -> dict[str, str]:
    """Return the tested versions for one Python, by normal name."""
    minor = int(python.split(".")[1])
    found = {}
    for line in constraints().read_text(encoding="utf-8").splitlines():
        pin = re.match(
            r"([A-Za-z0-9._-]+)==([^\s;]+)(?:\s*;\s*python_version\s*(<|>=)\s*\"3\.(\d+)\")?", line
        )
        if pin and (not pin[3] or (minor < int(pin[4])) == (pin[3] == "<")):
            found[_normal(pin[1])] = pin[2]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tidy(site: Path, recipe: Recipe) -> None:
    """Remove what no minion runs and what says when and where it was installed."""
    for pattern in (
        "bin",
        "*.dist-info/RECORD",
        "*.dist-info/direct_url.json",
        "*.dist-info/REQUESTED",
    ):
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in recipe.salt_without:
        if "/" in name:
            for path in site.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _commands(folder: Path, recipe: Recipe) -> None:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(f"/usr/bin/python{recipe.python}")
    (folder / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    for name, function in _COMMANDS.items():
        launch = programs / name
        launch.write_text(
            _LAUNCH.format(place=PLACE, name=name, function=function), encoding="utf-8"
        )
        launch.chmod(0o755)


def _compile(folder: Path, root: Path, recipe: Recipe, log: Path) -> None:
    """Compile with the image's own Python; unchecked: nothing looks at the sources' times again."""
    place, source = shlex.quote(str(root / PLACE)), shlex.quote(str(folder))
    compiling = (
        f"python{recipe.python} -m compileall -qq -f --invalidation-mode unchecked-hash /{PLACE}"
    )
    inside = f"mount --bind {source} {place} && chroot {shlex.quote(str(root))} {compiling}"
    tools.run(["sh", "-euc", inside], log, alone=True)
