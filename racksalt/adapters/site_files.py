"""The only reader of a site's YAML: layers under ``global/ zone/ rack/ node/``, declarations under ``site/``.

Reading is pure: plain YAML, no Jinja, so that a file's meaning does not depend on who asks. A node's configuration
costs a few ``stat`` calls, however many nodes there are. A broken edit changes nothing until it is mended.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from racksalt.adapters.site_settings import unknown
from racksalt.adapters.site_stages import unsound
from racksalt.model.errors import InvalidInputError
from racksalt.site.declare import declare
from racksalt.site.impact import KINDS, Scope, scope_of
from racksalt.site.layer_checks import check_owners, check_together, check_values
from racksalt.site.layers import Layer
from racksalt.site.problems import SiteProblem, errors, refuse
from racksalt.site.schema import Declarations, Place
from racksalt.site.site import Site

DECLARATIONS: Final = "site"
_LAYER_SUFFIX, _SITE_SUFFIX = ".sls", ".yaml"
_PLAIN = "#!yaml"
_JINJA = re.compile(r"\{\{|\{%|\{#")
_MOST_BYTES = 16 * 1024 * 1024
_MOST_VALUES, _MOST_DEPTH = 2_000_000, 50
# A file's time stamp has the grain of a kernel tick: two edits within one look alike, so a young file is read again.
_YOUNG_S = 2.0


def open_site(path: str | Path) -> Site:
    """Return the site in this folder, which follows later edits by itself.

    Raises InvalidInputError with everything that is wrong with its files (warnings aside).
    """
    folder = SiteFolder(path)
    refuse(folder.check())
    return Site(folder)


def check(path: str | Path) -> list[SiteProblem]:
    """Return everything that is wrong with a site's folder, errors first: also stages that are unsound or never run."""
    folder = SiteFolder(path)
    found = folder.check()
    if not errors(found):
        found = [*found, *unsound(folder.declarations())]
    return sorted(found, key=lambda it: (it.severity != "error", it.file, it.key))


def read_values(path: str | Path) -> dict[str, Any]:
    """Return the values of one layer file, wherever it is; InvalidInputError says what is wrong with it."""
    file = Path(path)
    if not file.is_file():
        raise InvalidInputError(f"no file {str(path)!r}", "name the file with the new content")
    values, problems = _values_of(str(path), file.read_bytes())
    refuse(problems)
    return values


def write_site(folder: str | Path, documents: Mapping[str, Any]) -> Path:
    """Write plain data as YAML files below ``folder`` (``rack/r1.sls`` -> data) and return the folder."""
    root = Path(folder)
    for name, document in documents.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    return root


def copy_site(
    source: str | Path, target: str | Path, bmcs: Mapping[str, tuple[str, int]] | None = None
) -> Path:
    """Copy a site's folder and give the named nodes' BMCs other addresses and ports; return the copy.

    Raises InvalidInputError for a node that has no BMC in the source.
    """
    root = Path(shutil.copytree(source, target, dirs_exist_ok=True))
    left = dict(bmcs or {})
    for file in sorted((root / DECLARATIONS).glob(f"*{_SITE_SUFFIX}")) if left else ():
        document, _ = _document_of(file.name, file.read_bytes())
        nodes = (document or {}).get("nodes") or {}
        mine = [name for name in nodes if name in left and nodes[name].get("bmc")]
        for name in mine:
            address, port = left.pop(name)
            nodes[name]["bmc"].update(address=address, port=port)
        if mine:
            write_site(root, {f"{DECLARATIONS}/{file.name}": document})
    if left:
        raise InvalidInputError(
            f"no BMC is declared for {', '.join(sorted(left))}",
            f"look into {source}/{DECLARATIONS}",
        )
    return root


@dataclass(frozen=True)
class _Kept:
    """What is kept of one file: how it looked, and the last good value that was in it."""

    signature: tuple[int, ...]
    settled: bool
    content: bytes | None
    value: Any
    problems: list[SiteProblem] = field(default_factory=list)


Parser = Callable[[str, bytes], tuple[Any, list[SiteProblem]]]


class SiteFolder:
    """A site's folder as a ``racksalt.site.site.Source``. May be used by several threads."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.RLock()
        self._kept: dict[str, _Kept] = {}
        self._site_files: set[str] = set()
        self._declared: Declarations | None = None
        self._judged: dict[str, Any] | None = None
        self._meant = Declarations()
        self._broken: list[SiteProblem] = []
        self._senseless: list[SiteProblem] = []
        if not self.path.is_dir():
            raise InvalidInputError(
                f"no folder {str(path)!r} for the site", "set `site` in the settings to one"
            )

    def declarations(self) -> Declarations:
        """Return what the files under ``site/`` declare; while they have errors, what they declared before.

        Raises InvalidInputError if they have errors and there is no before.
        """
        with self._lock:
            self._refresh()
            if self._declared is None:
                refuse([*self._broken, *self._senseless])
            return self._declared or Declarations()

    def _refresh(self) -> None:
        """Take in the files under ``site/`` that changed, once all of them are free of errors."""
        files = self._files(DECLARATIONS, _SITE_SUFFIX)
        self._forget(self._site_files.difference(files))
        self._site_files = set(files)
        kept = [(file, self._read(file, _document_of)) for file in files]
        documents = {file: it.value for file, it in kept if it and it.value is not None}
        self._broken = [problem for _, it in kept if it for problem in it.problems]
        if self._judged is None or not _are_the_same(documents, self._judged):
            self._judged = documents
            self._meant, self._senseless = declare(documents)
        # A file that is mended or gone need not change what the others say.
        if not errors([*self._broken, *self._senseless]):
            self._declared = self._meant

    def _forget(self, gone: Iterable[str]) -> None:
        for file in gone:
            self._kept.pop(file, None)

    def layers(self, place: Place) -> tuple[Layer, ...]:
        """Return the layers of one node, lowest first; only their files are looked at.

        Raises InvalidInputError if one of them was never free of errors: a node gets no configuration rather than one
        with a hole in it.
        """
        with self._lock:
            found = [self.layer(file) for file in self._files("global", _LAYER_SUFFIX)]
            for kind, name in (("zone", place.zone), ("rack", place.rack), ("node", place.node)):
                if name is not None and _is_plain_name(name):
                    found.append(self.layer(Scope(kind, name).file))
            return tuple(layer for layer in found if layer is not None)

    def layer(self, file: str) -> Layer | None:
        """Return one file's layer; None if there is no such file. Raises as ``layers`` does."""
        with self._lock:
            kept = self._read(file, _layer_of)
            if kept and kept.value is None:
                refuse(kept.problems)
            return kept.value if kept else None

    def problems(self) -> list[SiteProblem]:
        """Return the errors of the files that were read so far, as they were when last looked at."""
        with self._lock:
            self._refresh()
            faulty = [file for file, it in self._kept.items() if it.problems]
            self._forget(file for file in faulty if not (self.path / file).exists())
            kept = [it for file in self._kept.values() for it in file.problems]
            return errors([*kept, *self._senseless])

    def check(self) -> list[SiteProblem]:
        """Return everything that is wrong with all files: unlike the rest, this reads them all."""
        with self._lock:
            self._refresh()
            problems = [*self._broken, *self._senseless]
            files = [file for kind in KINDS for file in self._files(kind, _LAYER_SUFFIX)]
            kept = [it for file in files if (it := self._read(file, _layer_of))]
            problems += [problem for it in kept for problem in it.problems]
            layers = [it.value for it in kept if it.value is not None]
            problems += check_together(it for it in layers if it.origin.layer == "global")
            declared = self._declared or Declarations()
            problems += [*check_owners(files, declared), *unknown(layers, declared)]
            problems += self._strays()
            return problems

    def _files(self, folder: str, suffix: str) -> list[str]:
        """Return the files of a folder in the order of their names."""
        try:
            names = sorted(it.name for it in (self.path / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f"{folder}/{it}" for it in names if it.endswith(suffix) and it[0] != "."]

    def _strays(self) -> Iterator[SiteProblem]:
        """Yield the files that look like configuration and are never read."""
        wanted = {**dict.fromkeys(KINDS, _LAYER_SUFFIX), DECLARATIONS: _SITE_SUFFIX}
        for folder, suffix in wanted.items():
            for file in sorted((self.path / folder).glob("*")):
                if file.suffix in {".sls", ".yaml", ".yml"} - {suffix} and file.name[0] != ".":
                    hint = f"rename it to {file.stem}{suffix}"
                    yield SiteProblem(f"{folder}/{file.name}", "", "is not read", hint, "warning")

    def _read(self, file: str, parse: Parser) -> _Kept | None:
        """Return what a file says, reading it only if it changed; None if it is not there."""
        path = self.path / file
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            kept = self._kept.get(file)
            if kept and kept.settled and kept.signature == signature:
                return kept
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self._kept.pop(file, None)
            return None
        except OSError as error:
            return self._unreadable(file, error)
        settled = self._clock() - status.st_mtime > _YOUNG_S
        if kept and kept.content == content:
            value, problems = kept.value, kept.problems
        else:
            value, problems = parse(file, content)
            if errors(problems):
                value = kept.value if kept else None
        self._kept[file] = _Kept(signature, settled, content, value, problems)
        return self._kept[file]

    def _unreadable(self, file: str, error: OSError) -> _Kept:
        """Keep what was there before a file could not be read."""
        kept = self._kept.get(file)
        problem = SiteProblem(file, "", f"cannot be read: {error.strerror}", "mend its permissions")
        self._kept[file] = _Kept(
            (), settled=False, content=None, value=kept.value if kept else None, problems=[problem]
        )
        return self._kept[file]


def _are_the_same(documents: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether nothing was read anew: an unchanged file gives the very same data."""
    return documents.keys() == known.keys() and all(
        documents[file] is known[file] for file in known
    )


def _is_plain_name(name: str) -> bool:
    """Return whether a name stays within its folder."""
    return bool(name) and name[0] != "." and "/" not in name and "\0" not in name


def _layer_of(file: str, content: bytes) -> tuple[Layer | None, list[SiteProblem]]:
    values, problems = _values_of(file, content)
    return Layer(scope_of(file).origin, values), problems


def _values_of(file: str, content: bytes) -> tuple[dict[str, Any], list[SiteProblem]]:
    """Return a layer file's values and what is wrong with them."""
    value, problems = _document_of(file, content)
    if not problems and not isinstance(value, dict):
        problems = [SiteProblem(file, "", "the file is not a map", "write `key: value` lines")]
    if problems:
        return {}, problems
    return value, list(check_values(file, value))


def _document_of(file: str, content: bytes) -> tuple[Any, list[SiteProblem]]:
    """Return a file's plain data (an empty file is an empty map) and what is wrong with its YAML."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return None, [SiteProblem(file, "", f"line {line} is not UTF-8", "save it as UTF-8")]
    template = _JINJA.search(text)
    if template and not text.startswith(_PLAIN):
        line = text[: template.start()].count("\n") + 1
        hint = f"write plain values; if the braces are meant as text, begin the file with {_PLAIN}"
        return None, [SiteProblem(file, "", f"line {line} looks like Jinja", hint)]
    if len(content) > _MOST_BYTES:
        return None, [SiteProblem(file, "", "is over 16 MiB", "split it")]
    try:
        if _is_too_deep(text):
            return None, [SiteProblem(file, "", "is nested too deeply", "mend the YAML")]
        loader = _Loader(text)
        value = loader.get_single_data()
        faults = [*loader.faults, *_bounds(value)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}: " if mark else ""
        faults = [f"{at}{error.problem or error.context}"]
    except (yaml.YAMLError, ValueError) as error:
        faults = [str(error).partition("\n")[0]]
    if faults:
        return None, [SiteProblem(file, "", fault, "mend the YAML") for fault in faults]
    return {} if value is None else value, []


def _is_too_deep(text: str) -> bool:
    """Return whether maps and lists nest beyond bounds. The C parser would crash the process with some 10,000."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _bounds(value: Any) -> list[str]:
    """Return why a document is too much: an alias that holds itself, or aliases that multiply."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    seen = 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > _MOST_DEPTH or seen > _MOST_VALUES:
            return ["is nested too deeply or has too many values: an alias that holds itself?"]
        children: Iterable[Any] = ()
        if isinstance(item, dict):
            children = item.values()
        elif isinstance(item, list):
            children = item
        waiting.extend((child, depth + 1) for child in children)
    return []


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser where it is built
    """YAML with the values of its core schema (YAML 1.2 §10.3), and on, off, yes, no as Salt users expect.

    What YAML 1.1 makes of dates, of 0644 and of 52:54:00:12:34:56 stays the text that was written.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own interface
    yaml_constructors = {  # the same
        f"tag:yaml.org,2002:{kind}": getattr(yaml.SafeLoader, f"construct_yaml_{kind}")
        for kind in ("null", "bool", "int", "float", "str", "seq", "map")
    } | {None: yaml.SafeLoader.construct_undefined}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.faults: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return a map; a key that is no text or stands twice is a fault (YAML 1.2 §3.2.1.3)."""
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                shown = f"key {key.value!r}" if isinstance(key, yaml.ScalarNode) else "the key"
                self.faults.append(f"line {line}: {shown} is not text; put it in quotes")
            elif key.value in seen:
                self.faults.append(f"line {line}: key {key.value!r} stands twice")
            else:
                seen.add(key.value)
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"(?i:true|false|yes|no|on|off)", list("tTfFyYnNoO")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-+0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first
    )
