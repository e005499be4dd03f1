"""Reference pages made from the code: settings, command line, Salt functions."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

NAMES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def _type_name(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        bounds = [
            f"{word} {getattr(extra, name)}"
            for extra in hint.__metadata__
            for name, word in BOUNDS.items()
            if getattr(extra, name, None) is not None
        ]
        return ", ".join([_type_name(args[0]), *bounds])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(arg) for arg in args if arg is not type(None))
    if origin is dict:
        return f"map of {_type_name(args[0])} to {_type_name(args[1])}"
    if origin in (list, tuple):
        return f"list of {_type_name(args[0])}"
    name = getattr(hint, "__name__", str(hint))
    return NAMES.get(name, name)


def _attribute_docs(struct: type) -> dict[str, str]:
    """Return the strings that stand under a class's fields."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(doc, ast.Expr)
            and isinstance(doc.value, ast.Constant)
        ):
            docs[field.target.id] = " ".join(str(doc.value.value).split())
    return docs


def _meta_description(hint: Any) -> str:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, msgspec.Meta) and extra.description:
            return extra.description
    return ""


def setting_rows(struct: type, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield (dotted key, type, default, meaning) of a settings Struct and of those inside it."""
    hints = typing.get_type_hints(struct, include_extras=True)
    docs = _attribute_docs(struct)
    for field in msgspec.structs.fields(struct):
        key, hint = f"{prefix}{field.encode_name}", hints[field.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from setting_rows(hint, f"{key}.")
            continue
        default: Any = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        required = default is msgspec.NODEFAULT
        shown = "*required*" if required else f"`{msgspec.json.encode(default).decode()}`"
        yield key, _type_name(hint), shown, docs.get(field.name) or _meta_description(hint)


def settings() -> str:
    """Return the table of all settings."""
    from racksalt.settings import Settings

    rows = [
        f"| `{key}` | {kind} | {default} | {meaning} |"
        for key, kind, default, meaning in setting_rows(Settings)
    ]
    return "\n".join(["| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows]).replace(
        "``", "`"
    )


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
            continue
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        help_text = " ".join((getattr(parameter, "help", None) or "").split())
        if parameter.param_type_name == "argument":
            names = f"`{parameter.name.upper()}`"
        yield f"- {names}{': ' + help_text if help_text else ''}"


def _commands(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if not children:
        text = inspect.cleandoc(command.help or "").replace("\b\n", "").strip()
        yield "\n".join([f"## {path}", "", text, "", *_parameters(command)]).strip()
    for name in sorted(children):
        if not children[name].hidden:
            yield from _commands(children[name], f"{path} {name}")


def cli() -> str:
    """Return one section for each command of ``racksalt``."""
    import typer

    from racksalt.cli import cli as commands

    return "\n\n".join(_commands(typer.main.get_command(commands), "racksalt"))


def _virtual_name(tree: ast.Module, default: str) -> str:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "__virtualname__" in names:
                return str(node.value.value)
    return default


def _functions(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = _virtual_name(tree, path.stem)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
            # A function named like a built-in one has an underscore that Salt takes off (__func_alias__).
            called = node.name.removesuffix("_")
            yield f"| `{name}.{called}({ast.unparse(node.args)})` | {summary} |"


def salt_functions(folder: Path) -> str:
    """Return one table for each kind of loader in ``folder``."""
    titles = {
        "_runners": "Runners (`salt-run …`, on the master)",
        "_modules": "Execution modules (on nodes and on the admin minion)",
        "_states": "States",
        "_grains": "Grains",
        "_pillar": "External pillar",
        "_engines": "Engines",
    }
    parts = []
    for kind, title in titles.items():
        rows = [row for path in sorted(folder.glob(f"{kind}/*.py")) for row in _functions(path)]
        if rows:
            parts.append("\n".join([f"## {title}", "", "| Function | |", "|---|---|", *rows]))
    return "\n\n".join(parts).replace("``", "`")
