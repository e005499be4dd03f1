"""iPXE scripts, one per boot environment.

Everything that goes into a script is checked first: iPXE expands ``${…}``, splits words at white
space and obeys ``&&`` and ``||``, so one unchecked serial number could rewrite the script.

No script ends at a dead prompt. When an image cannot be had it is tried again, then the boot API
is asked anew (the answer may have changed meanwhile), and at the very end ``exit`` hands the
machine back to its firmware, which goes on in its boot order.
Commands used: https://ipxe.org/cmd (kernel, initrd, boot, chain, sanboot, sleep, inc, iseq).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from racksalt.model.errors import InvalidInputError
from racksalt.wire import NODE_ID

if TYPE_CHECKING:
    from racksalt.model.node import BootEnvironment

Arch = Literal["x86_64", "arm64"]
IMAGE_TRIES = 5
"""How often the images of one script are tried before the boot API is asked anew."""
ASK_TRIES = 40
"""How often the boot API is asked, ``PAUSE_S`` apart, before the firmware gets the machine back."""
PAUSE_S = 10
HOLD_S = 15
"""Seconds that a held machine waits before it asks again."""

# RFC 3986 without the characters that mean something to iPXE: $ { } # white space.
_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/%?=,:@+\-&]*)?")
_WORD = re.compile(r"[A-Za-z0-9_.,:=/@+%\-]+")
_MASTER = re.compile(r"([A-Za-z0-9.\-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
_FINGER = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){15,63}")
_MAC = re.compile(r"[0-9a-f]{2}(-[0-9a-f]{2}){5,19}")
_TOKEN = re.compile(r"[0-9a-f]{64}")
_ARCHES: dict[str, Arch] = {
    "": "x86_64",
    "x86_64": "x86_64",
    "i386": "x86_64",  # the common BIOS build of iPXE is 32 bit and boots 64 bit kernels
    "arm64": "arm64",
    "aarch64": "arm64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Where the kernel and initial RAM disk of one environment and architecture are served."""

    kernel_url: str
    initrd_url: str
    extra_args: str = ""
    system_url: str = ""
    """Where the initial RAM disk finds the system, which must have ``system_sha256``."""
    system_sha256: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidInputError for anything that iPXE might read as more than text."""
        _checked(_URL, self.kernel_url, "kernel URL")
        _checked(_URL, self.initrd_url, "initrd URL")
        if self.system_url:
            _checked(_URL, self.system_url, "URL of the system's image")
            _checked(_TOKEN, self.system_sha256, "SHA-256 of the system's image")
        for word in self.extra_args.split():
            _checked(_WORD, word, "kernel argument")


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What the booted environment must know to report back and to enrol.

    ``base_url`` is the boot API's address as nodes see it, ``master`` the Salt master's
    ``host:port``, ``master_finger`` the fingerprint of its public key (empty: nothing to pin),
    ``mac`` the address of the NIC that asked, hyphens between its bytes: the one to go on with. ``tells_hardware``:
    the live system reports its inventory by itself, which a node whose next stage reads it need not do twice.
    """

    node: str
    boot: int
    token: str = field(repr=False)
    base_url: str
    master: str
    master_finger: str
    mac: str = ""
    tells_hardware: bool = True

    def __post_init__(self) -> None:
        """Raise InvalidInputError for anything that iPXE might read as more than text."""
        _checked(NODE_ID, self.node, "node id")
        if not _TOKEN.fullmatch(self.token):
            raise InvalidInputError("the boot token is not 64 hex digits")  # and never say which
        _checked(_URL, self.base_url, "boot API URL")
        _checked(_MASTER, self.master, "Salt master (host:port)")
        if self.mac:
            _checked(_MAC, self.mac, "MAC")
        if self.master_finger:
            _checked(_FINGER, self.master_finger, "fingerprint of the Salt master's key")


def arch_of(text: str) -> Arch:
    """Return our name of an iPXE ``buildarch``; raise InvalidInputError for one without images."""
    try:
        return _ARCHES[text.strip().lower()]
    except KeyError:
        raise InvalidInputError(
            f"no images for architecture {text[:32]!r}", "racksalt boots x86_64 and arm64"
        ) from None


def live_script(image: Image, who: Introduction, ask_url: str) -> str:
    """Return the script that boots the live environment: a Salt minion in memory."""
    return _image_script("live", image, who, ask_url)


def installer_script(image: Image, who: Introduction, ask_url: str) -> str:
    """Return the script that boots the installer, which writes the node's own system to disk."""
    return _image_script("installer", image, who, ask_url)


def local_script(node: str, *, efi_loader_url: str = "") -> str:
    """Return the script that boots the node's own disk.

    On BIOS that is the first disk. UEFI firmware cannot boot a disk by number, and leaving iPXE
    there walks the remaining network entries first: so, where given, a boot loader is fetched from
    ``efi_loader_url`` that finds the installed system by its label. What fails here falls back to
    the firmware's boot order, so an unreachable disk shows up as the next network boot.
    """
    _checked(NODE_ID, node, "node id")
    lines = [f"# racksalt: {node} boots its own disk"]
    if efi_loader_url:
        loader = _checked(_URL, efi_loader_url, "UEFI boot loader URL")
        # A loader that cannot be had is no reason not to try the disk.
        lines += ["iseq ${platform} efi || goto disk", f"chain --replace {loader} ||", ":disk"]
    lines.append("sanboot --no-describe --drive 0x80 || exit")
    return _script([*lines, "exit"])


def hold_script(ask_url: str, *, why: str = "", wait_s: int = HOLD_S) -> str:
    """Return the script that waits ``wait_s`` seconds and asks the boot API again.

    ``why`` is shown on the console; only letters, digits and simple punctuation of it are kept.
    """
    shown = re.sub(r"[^A-Za-z0-9_.,:;()/ \-]", "", why)[:160].strip()
    lines = [f"echo racksalt: {shown or 'waiting'}", f"sleep {int(wait_s)}"]
    return _script([*lines, *_ask(ask_url)])


def introduce_script(base_url: str) -> str:
    """Return the script that makes iPXE say who it is, for a request that names no MAC.

    So a DHCP server needs to hand out nothing but the plain address of the boot API.
    """
    _checked(_URL, base_url, "boot API URL")
    query = "mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}&arch=${buildarch}"
    lines = ["echo racksalt: who are you", *_ask_lines(f"{base_url}/v1/boot/script?{query}")]
    return _script(lines)


def _image_script(
    environment: BootEnvironment, image: Image, who: Introduction, ask_url: str
) -> str:
    """Return a script that loads kernel and initrd, tries again, and asks anew when it cannot."""
    arguments = " ".join(
        [
            "initrd=racksalt.img",  # UEFI kernels find their RAM disk by this name only
            f"racksalt.node={who.node}",
            f"racksalt.boot={who.boot:d}",
            f"racksalt.environment={environment}",
            f"racksalt.token={who.token}",
            f"racksalt.url={who.base_url}",
            f"racksalt.master={who.master}",
            *([f"racksalt.master_finger={who.master_finger}"] if who.master_finger else []),
            *([f"racksalt.mac={who.mac}"] if who.mac else []),
            *([] if who.tells_hardware else ["racksalt.inventory=no"]),
            *_system(image),
            *image.extra_args.split(),
        ]
    )
    lines = [
        f"# racksalt: {who.node}, boot {who.boot:d}, {environment}",
        "set tries:int32 0",
        ":retry",
        "imgfree",
        f"kernel {image.kernel_url} {arguments} || goto wait",
        f"initrd --name racksalt.img {image.initrd_url} || goto wait",
        "boot || goto wait",
        ":wait",
        f"sleep {PAUSE_S}",
        "inc tries",
        f"iseq ${{tries}} {IMAGE_TRIES} || goto retry",
        "imgfree",
    ]
    return _script([*lines, *_ask(ask_url)])


def _system(image: Image) -> list[str]:
    """Return what makes the initial RAM disk fetch and check the system."""
    if not image.system_url:
        return []
    return [
        f"racksalt.image={image.system_url}",
        f"racksalt.image_sha256={image.system_sha256}",
        "panic=60",  # an initial RAM disk that dies starts the machine again
    ]


def _ask(ask_url: str) -> list[str]:
    """Return the lines that ask the boot API anew and end at the firmware."""
    return _ask_lines(_checked(_URL, ask_url, "boot script URL"))


def _ask_lines(url: str) -> list[str]:
    """Return the tail of every script: ask, pause, ask again, at the very end leave."""
    return [
        ":ask",
        "set asked:int32 0",
        ":ask_again",
        f"chain --replace {url} ||",
        f"sleep {PAUSE_S}",
        "inc asked",
        f"iseq ${{asked}} {ASK_TRIES} || goto ask_again",
        "exit",
    ]


def _script(lines: list[str]) -> str:
    """Return the lines as an iPXE script."""
    return "\n".join(["#!ipxe", *lines, ""])


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Return ``text`` when the whole of it fits; raise InvalidInputError otherwise."""
    if not pattern.fullmatch(text):
        raise InvalidInputError(
            f"{what} {text[:80]!r} cannot go into a boot script",
            "use plain letters, digits and URL characters; no spaces, quotes, $ or #",
        )
    return text
