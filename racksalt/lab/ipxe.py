"""An interpreter for the part of iPXE's script language that boots servers, without any input or output.

``Interpreter.run`` is a generator: it yields what the outside must do (load, fetch, wait, boot) and is sent whether
that worked. It keeps iPXE's own rules (https://ipxe.org/scripting): words are split before variables are expanded,
``||`` and ``&&`` look at the command just before them, a command that fails and is not caught ends its script, and a
label is looked up from the top. A script that loops without ever waiting ends as failed instead of spinning.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

MAX_IDLE_STEPS = 5_000
"""Commands that may run without a wait, a fetch or a boot in between."""
MAX_SCRIPT_BYTES = 65_536
MAX_DEPTH = 8
"""Scripts that may have chained one another without ``--replace``."""
MAX_VALUE = 4_096


@dataclass(frozen=True, slots=True)
class Load:
    """Load a kernel or initial RAM disk; send True when it is there."""

    url: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch a script and answer with its text, or None when it cannot be had."""

    url: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Show a line on the console."""

    text: str


@dataclass(frozen=True, slots=True)
class BootKernel:
    """Boot what was loaded. Send False when it does not start; otherwise there is no way back."""

    url: str
    arguments: tuple[str, ...]

    def values(self) -> dict[str, str]:
        """Return the arguments of the form ``key=value``."""
        return dict(word.split("=", 1) for word in self.arguments if "=" in word)


@dataclass(frozen=True, slots=True)
class BootDisk:
    """Boot from the disk. Send False when nothing there boots; otherwise there is no way back."""

    drive: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the machine."""


Action: TypeAlias = "Load | Fetch | Wait | Say | BootKernel | BootDisk | Restart"
Running: TypeAlias = "Generator[Action, object, bool]"

_VARIABLE = re.compile(r"\$\{([^${}]*)\}")
_WORDS = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")


class _Left(Exception):  # noqa: N818 - it is control flow: `exit` and a replaced script unwind with it
    def __init__(self, ok: bool) -> None:
        super().__init__()
        self.ok = ok


class Interpreter:
    """One iPXE. ``variables`` are its settings: mac, uuid, serial, buildarch, platform and so on."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self._kernel: tuple[str, tuple[str, ...]] | None = None
        self._idle = 0
        self._depth = 0

    def run(self, script: str) -> Running:
        """Run a script to its end; return whether it ended well. What comes then is the firmware's choice."""
        try:
            return (yield from self._script(script))
        except _Left as left:
            return left.ok

    def _script(self, script: str) -> Running:
        if not script.startswith("#!ipxe") or len(script) > MAX_SCRIPT_BYTES:
            return False
        lines = script.splitlines()
        labels: dict[str, int] = {}
        for number, line in enumerate(lines):
            if line.strip().startswith(":"):
                labels.setdefault(line.strip()[1:], number)
        at = 0
        while at < len(lines):
            line = lines[at].strip()
            at += 1
            if not line or line[0] in "#:":
                continue
            ok, label = yield from self._line(line, labels)
            if not ok:
                return False
            if label is not None:
                at = labels[label]
        return True

    def _line(
        self, line: str, labels: Mapping[str, int]
    ) -> Generator[Action, object, tuple[bool, str | None]]:
        words = _WORDS.findall(line)
        ok = True
        while True:
            ends = [i for i, word in enumerate(words) if word in {"||", "&&"}]
            command = words[: ends[0]] if ends else words
            if command and command[0] == "goto":
                label = self.expand(command[1]) if len(command) > 1 else ""
                self._idle += 1
                if label in labels and self._idle <= MAX_IDLE_STEPS:
                    return True, label
                ok = False
            else:
                ok = yield from self._command(command)
            if not ends:
                return ok, None
            joint, words = words[ends[0]], words[ends[0] + 1 :]
            if ok == (joint == "||"):
                return ok, None

    def _command(self, words: list[str]) -> Running:
        self._idle += 1
        if self._idle > MAX_IDLE_STEPS:
            return False
        if not words or words[0].startswith("#"):
            return True
        name, *arguments = (self.expand(word) for word in words)
        found = _COMMANDS.get(name)
        if found is None:
            return False
        return (yield from found(self, arguments))

    def expand(self, word: str) -> str:
        """Return the word with its variables expanded, innermost first, and its quotes taken off."""
        for _ in range(64):
            found = _VARIABLE.search(word)
            if found is None:
                break
            word = word[: found.start()] + self._value(found[1]) + word[found.end() :]
            if len(word) > MAX_VALUE:
                return word[:MAX_VALUE]
        return word.replace('"', "").replace("'", "")

    def _value(self, name: str) -> str:
        name, _, form = name.partition(":")
        name = name.removeprefix("net0/")
        value = self.variables.get(name, "")
        if form == "hexhyp":
            return value.replace(":", "-")
        return quote(value, safe="") if form == "uristring" else value

    # ------------------------------------------------------------------ commands

    def _acted(self, action: Action) -> Running:
        self._idle = 0
        return bool((yield action))

    def _kernel_command(self, arguments: list[str]) -> Running:
        plain = _without_options(arguments, valued=("--name", "--timeout"))
        if not plain:
            return False
        if not (yield from self._acted(Load(plain[0]))):
            return False
        self._kernel = (plain[0], tuple(plain[1:]))
        return True

    def _initrd(self, arguments: list[str]) -> Running:
        plain = _without_options(arguments, valued=("--name", "--timeout"))
        return bool(plain) and (yield from self._acted(Load(plain[0])))

    def _boot(self, arguments: list[str]) -> Running:
        if arguments and not arguments[0].startswith("-"):
            return (yield from self._chain(arguments))
        if self._kernel is None:
            return False
        return (yield from self._acted(BootKernel(*self._kernel)))

    def _chain(self, arguments: list[str]) -> Running:
        plain = _without_options(arguments, valued=("--name", "--timeout"))
        if not plain or self._depth >= MAX_DEPTH:
            return False
        self._idle = 0
        script = yield Fetch(plain[0])
        if not isinstance(script, str) or not script.startswith("#!ipxe"):
            return False
        if "--replace" in arguments or "-r" in arguments:
            raise _Replaced(script)
        self._depth += 1
        try:
            return (yield from self._script(script))
        finally:
            self._depth -= 1

    def _sanboot(self, arguments: list[str]) -> Running:
        drive = "0x80"
        for option, value in itertools.pairwise(arguments):
            if option in {"--drive", "-d"}:
                drive = value
        return (yield from self._acted(BootDisk(drive)))

    def _sleep(self, arguments: list[str]) -> Running:
        plain = _without_options(arguments, valued=())
        if not plain or not re.fullmatch(r"[0-9]{1,9}", plain[0], re.ASCII):
            return False
        yield from self._acted(Wait(float(plain[0])))
        return True

    def _reboot(self, _arguments: list[str]) -> Running:
        return (yield from self._acted(Restart()))

    def _echo(self, arguments: list[str]) -> Running:
        yield Say(" ".join(_without_options(arguments, valued=())))
        return True

    def _set(self, arguments: list[str]) -> Running:
        yield from ()
        if not arguments:
            return False
        self.variables[arguments[0].partition(":")[0]] = " ".join(arguments[1:])[:MAX_VALUE]
        return True

    def _inc(self, arguments: list[str]) -> Running:
        yield from ()
        if not arguments:
            return False
        name, by = arguments[0].partition(":")[0], (arguments[1:] or ["1"])[0]
        value = self.variables.get(name, "0")
        if not all(re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) for text in (value, by)):
            return False
        self.variables[name] = str(int(value) + int(by))
        return True

    def _iseq(self, arguments: list[str]) -> Running:
        yield from ()
        return len(arguments) == 2 and arguments[0] == arguments[1]

    def _isset(self, arguments: list[str]) -> Running:
        yield from ()
        return bool(arguments and arguments[0])

    def _imgfree(self, _arguments: list[str]) -> Running:
        yield from ()
        self._kernel = None
        return True

    def _nothing(self, _arguments: list[str]) -> Running:
        yield from ()
        return True

    def _exit(self, arguments: list[str]) -> Running:
        yield from ()
        raise _Left(ok=not arguments or arguments[0] == "0")


class _Replaced(Exception):  # noqa: N818 - control flow, as above
    def __init__(self, script: str) -> None:
        super().__init__()
        self.script = script


def interpret(interpreter: Interpreter, script: str) -> Running:
    """Run a script and whatever replaces it (``chain --replace``), without growing the stack."""
    while True:
        try:
            return (yield from interpreter.run(script))
        except _Replaced as replaced:
            script = replaced.script


def _without_options(arguments: list[str], valued: tuple[str, ...]) -> list[str]:
    """Return the arguments from the first one on that is no option."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in valued else 1
    return arguments[at:]


_COMMANDS: dict[str, Callable[[Interpreter, list[str]], Running]] = {
    "kernel": Interpreter._kernel_command,  # noqa: SLF001 - the table belongs to the class
    "imgselect": Interpreter._kernel_command,  # noqa: SLF001
    "initrd": Interpreter._initrd,  # noqa: SLF001
    "imgfetch": Interpreter._initrd,  # noqa: SLF001
    "module": Interpreter._initrd,  # noqa: SLF001
    "boot": Interpreter._boot,  # noqa: SLF001
    "chain": Interpreter._chain,  # noqa: SLF001
    "sanboot": Interpreter._sanboot,  # noqa: SLF001
    "sleep": Interpreter._sleep,  # noqa: SLF001
    "reboot": Interpreter._reboot,  # noqa: SLF001
    "echo": Interpreter._echo,  # noqa: SLF001
    "set": Interpreter._set,  # noqa: SLF001
    "inc": Interpreter._inc,  # noqa: SLF001
    "iseq": Interpreter._iseq,  # noqa: SLF001
    "isset": Interpreter._isset,  # noqa: SLF001
    "imgfree": Interpreter._imgfree,  # noqa: SLF001
    "dhcp": Interpreter._nothing,  # noqa: SLF001
    "ifopen": Interpreter._nothing,  # noqa: SLF001
    "exit": Interpreter._exit,  # noqa: SLF001
}
