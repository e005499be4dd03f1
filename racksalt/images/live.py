"""Builds the live image: kernel, a small initial RAM disk, and the system as a squashfs."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from racksalt.images import manifest as manifests
from racksalt.images import modules, packages, recipe, salt_tree, tools, tree
from racksalt.images.archive import Archive
from racksalt.images.recipe import Recipe
from racksalt.images.steps import Workshop

EXTMODS = "var/cache/salt/minion/extmods"
_RULES = 2
"""Raised when the same packages would give another live image; the steps before it stay as they are."""
_IPXE = ("undionly.kpxe", "ipxe.efi", "snponly.efi")
_GRUB = "usr/lib/grub/x86_64-efi"
_GRUB_MODULES = (
    "part_gpt part_msdos ext2 xfs fat mdraid09 mdraid1x diskfilter search search_label search_fs_uuid"
    " normal configfile linux gzio zstd all_video serial terminal echo sleep test regexp loadenv minicmd"
)
_LISTED = re.compile(r"(?:=> )?(/\S+) \(0x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Finished steps of a live image."""

    packages: Path
    kernel: Path
    salt: Path
    loaders: Path


def build(workshop: Workshop, found: Recipe, sources: str, kernel: str, public: bytes) -> Path:
    """Return a folder with the files of the live image and ``info`` for its manifest."""
    parts = Parts(
        packages=(base := packages.root(workshop, found, sources)),
        kernel=packages.unpacked(workshop, found, sources, [found.kernel(kernel)]),
        salt=salt_tree.salt(workshop, found, base),
        loaders=packages.unpacked(workshop, found, sources, ["ipxe", "grub-efi-amd64-bin"]),
    )
    data = recipe.folder() / "live"

    def make(folder: Path) -> None:
        at = packages.epoch(*(part for part in (parts.packages, parts.kernel, parts.loaders)))
        (folder / "epoch").write_text(f"{at}\n", encoding="ascii")
        release = modules.version(parts.kernel / "root")
        shutil.copyfile(parts.kernel / f"root/boot/vmlinuz-{release}", folder / "vmlinuz")
        _initramfs(folder, workshop, found, parts, kernel, at)
        _loaders(folder, workshop, parts, at)
        _system(folder, workshop, found, parts, public, at)

    inputs = [
        *(str(part.name) for part in (parts.packages, parts.kernel, parts.salt, parts.loaders)),
        *(recipe.tree_digest(data, *salt_tree.loader_folders()), public.decode()),
        _RULES,
        *(found.without, found.initramfs_modules.get(kernel, []), found.module_folders),
    ]
    return workshop.step(f"live-{found.name}", inputs, make)


def entries(made: Path) -> dict[str, manifests.FileEntry]:
    """Return the manifest's entries of what `build` has made."""
    return {
        path.name: manifests.entry(path) for path in sorted(made.iterdir()) if path.name != "epoch"
    }


def versions(workshop: Workshop, found: Recipe, sources: str, kernel: str) -> dict[str, str]:
    """Return package -> version of all that is in the image; its steps are there already."""
    base = packages.root(workshop, found, sources)
    others = [
        packages.unpacked(workshop, found, sources, [found.kernel(kernel)]),
        packages.unpacked(workshop, found, sources, ["ipxe", "grub-efi-amd64-bin"]),
    ]
    told = packages.versions(base)
    for one in others:
        told |= packages.versions(one)
    return told | salt_tree.versions(salt_tree.salt(workshop, found, base))


def lay_loaders(made: tree.Tree) -> None:
    """Put our modules and states where Salt's own sync would: what a master has later takes their place."""
    for path in salt_tree.loader_folders():
        made.copy(path, f"{EXTMODS}/{path.name.lstrip('_')}")


def _system(
    folder: Path, workshop: Workshop, found: Recipe, parts: Parts, public: bytes, at: int
) -> None:
    made = tree.Tree(folder / "root", workshop.log)
    made.lay(parts.packages / "root")
    made.lay(parts.salt, salt_tree.PLACE)
    modules.copy(parts.kernel / "root", made.root, found.module_folders)
    release = modules.version(parts.kernel / "root")
    tools.run(["depmod", "-b", str(made.root), release], workshop.log)
    made.drop(found.without)
    made.copy(recipe.folder() / "live/root")
    lay_loaders(made)
    made.write("etc/racksalt/images.pub", public)
    made.write("etc/hostname", b"racksalt\n")
    made.write("etc/fstab", b"")
    made.write(
        "usr/lib/racksalt/udhcpc.script",
        (recipe.folder() / "live/initramfs/etc/udhcpc.script").read_bytes(),
        0o755,
    )
    made.link("etc/resolv.conf", "/run/resolv.conf")
    for name in ("reboot", "poweroff", "halt", "ntpd", "udhcpc", "init"):
        made.link(f"sbin/{name}", "/bin/busybox")
    made.squashfs(folder / "live.squashfs", at)
    shutil.rmtree(made.root)


def _initramfs(
    folder: Path, workshop: Workshop, found: Recipe, parts: Parts, kernel: str, at: int
) -> None:
    """Write ``live.img``: busybox, the modules that reach the network, and our script."""
    archive = Archive(at)
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "etc", "usr/sbin"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    base = parts.packages / "root"
    archive.file("bin/busybox", (base / "bin/busybox").read_bytes(), 0o755)
    archive.link("bin/sh", "busybox")
    archive.link("sbin/modprobe", "/bin/busybox")
    scripts = recipe.folder() / "live/initramfs"
    for script in sorted(path for path in scripts.rglob("*") if path.is_file()):
        archive.file(str(script.relative_to(scripts)), script.read_bytes(), 0o755)
    archive.link("etc/resolv.conf", "/run/resolv.conf")
    wanted = found.initramfs_modules.get(kernel, [])
    _drivers(archive, folder / "index", parts, wanted, workshop.log)
    for path in _program(base, "usr/sbin/dhcpcd", folder / "libraries"):
        archive.file(path, (base / path).read_bytes(), 0o755)
    (folder / "live.cpio").write_bytes(archive.pack())
    tree.zstd(folder / "live.cpio", folder / "live.img", 19, workshop.log)
    (folder / "live.cpio").unlink()


def _drivers(archive: Archive, index: Path, parts: Parts, wanted: list[str], log: Path) -> None:
    """Add these modules, all that they need, and the firmware that they may ask for.

    What a card wants before it reaches the network cannot come over the network. ``index`` is a folder for a while.
    """
    release = modules.version(parts.kernel / "root")
    source = parts.kernel / "root/lib/modules" / release
    tree.Tree(index, log).lay(parts.kernel / "root/lib/modules", "lib/modules")
    tools.run(["depmod", "-b", str(index), release], log)
    texts = index / "lib/modules" / release
    needs = modules.dependencies((texts / "modules.dep").read_text(encoding="utf-8"))
    builtin = (texts / "modules.builtin").read_text(encoding="utf-8").split()
    chosen = modules.closure(wanted, needs, builtin)
    place = f"lib/modules/{release}"
    for path in chosen:
        content = modules.content(source / path)
        archive.file(f"{place}/{_plain(path)}", content)
        _firmware(archive, parts.packages / "root", modules.name_of(path), content, log)
    told = "".join(f"{_plain(p)}: {' '.join(map(_plain, needs[p]))}\n" for p in chosen)
    archive.file(f"{place}/modules.dep", told.encode())
    archive.file(f"{place}/modules.alias", _aliases(texts / "modules.alias", chosen))
    shutil.rmtree(index)


def _firmware(archive: Archive, base: Path, name: str, module: bytes, log: Path) -> None:
    """Add the firmware of one module; what the packages do not have is told in the log, for few cards need all."""
    found, missing = modules.firmware(base, modules.firmware_names(module))
    for path, file in found.items():
        archive.file(path, file.read_bytes())
    if missing:
        with log.open("a", encoding="utf-8") as output:
            output.write(f"firmware of {name} that no package has: {' '.join(missing)}\n")


def _loaders(folder: Path, workshop: Workshop, parts: Parts, at: int) -> None:
    """Write what firmware is given: iPXE for PXE and HTTP boot, GRUB to find an installed system."""
    root = parts.loaders / "root"
    for name in _IPXE:
        shutil.copyfile(tree.inside(root, f"usr/lib/ipxe/{name}"), folder / name)
    program = [
        "grub-mkstandalone",
        "-O",
        "x86_64-efi",
        "-d",
        str(root / _GRUB),
        "--locales=",
        "--fonts=",
    ]
    program += ["--themes=", f"--modules={_GRUB_MODULES}", f"--install-modules={_GRUB_MODULES}"]
    program += ["-o", str(folder / "local.efi")]
    configuration = f"boot/grub/grub.cfg={recipe.folder() / 'live/local.cfg'}"
    tools.run([*program, configuration], workshop.log, env={"SOURCE_DATE_EPOCH": str(at)})
    loader = folder / "local.efi"
    loader.write_bytes(without_times(loader.read_bytes()))


def without_times(loader: bytes) -> bytes:
    """Return a GRUB image whose inner tar archive (POSIX ustar) tells no times: they are those of the build."""
    out = bytearray(loader)
    for found in re.finditer(rb"ustar(\0|  )", loader):
        at = found.start() - 257
        head = out[at : at + 512]
        # A header, not the word in some program's text: its sum is right.
        if at < 0 or _sum(head) != _octal(head[148:156]):
            continue
        head[136:147] = b"0" * 11
        head[148:156] = b"%06o\0 " % _sum(head)
        out[at : at + 512] = head
    return bytes(out)


def _sum(head: bytes | bytearray) -> int:
    """Return a tar header's check sum, for which the sum's own field counts as blanks."""
    return sum(head[:148]) + 8 * 0x20 + sum(head[156:512])


def _octal(field: bytes | bytearray) -> int | None:
    digits = bytes(field).strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else None


def _plain(path: str) -> str:
    """Return a module's path in the initial RAM disk, where it is not compressed."""
    return path.removesuffix(".xz").removesuffix(".zst")


def _aliases(index: Path, chosen: list[str]) -> bytes:
    """Return the lines of ``modules.alias`` for these modules alone: busybox reads all of it each time."""
    names = {modules.name_of(path) for path in chosen}
    lines = index.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[-1].replace("-", "_") in names).encode()


def _program(root: Path, path: str, listing: Path) -> list[str]:
    """Return the paths of a program and of all libraries that it loads, as its own loader finds them."""
    listing.unlink(missing_ok=True)
    tools.run(["chroot", str(root), "/lib64/ld-linux-x86-64.so.2", "--list", f"/{path}"], listing)
    libraries = _LISTED.findall(listing.read_text(encoding="utf-8").split("\n", 2)[2])
    listing.unlink()
    return [path, *(one.lstrip("/") for one in libraries)]
