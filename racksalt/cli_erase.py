"""Erase certificates on the command line: shown, written to files, checked."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from racksalt.bootstrap import App, open_app, settings_from
from racksalt.cli_output import show
from racksalt.model.errors import InvalidInputError, NotFoundError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FILES = ("certificate.json", "document.json", "document.sig", "public-key.pem")


def erase_certificate(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="Node id.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the newest one to, for an auditor.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show a node's signed erase certificates, newest first, each checked now."""
    operations = _app(context).operations
    found = operations.erase_certificates(node, limit)
    if out is not None:
        _write(out, found, operations.erase_key(), node)
    show(found, as_json, _print)
    if not all(one["good"] for one in found):
        raise typer.Exit(1)


def verify_certificate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A certificate.json, or one of --json's list.")],
    as_json: Json = False,
) -> None:
    """Say whether an erase certificate is what this site signed; exit status 1 if it is not."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{file} cannot be read: {error}", "give a JSON file") from None
    checked = _app(context).operations.check_certificate(told)
    show(checked, as_json, _print_checked)
    if not checked["good"]:
        raise typer.Exit(1)


def _app(context: typer.Context) -> App:
    app = open_app(settings_from(context.find_root().params.get("settings")))
    context.call_on_close(app.close)
    return app


def _write(folder: Path, found: list[dict[str, Any]], public: str, node: str) -> None:
    """Write the newest certificate, and its parts as tools such as OpenSSL want them."""
    if not found:
        raise NotFoundError(f"node {node!r} has no erase certificate", "it was not erased yet")
    folder.mkdir(parents=True, exist_ok=True)
    newest = found[0]
    parts = (
        json.dumps(newest, indent=1).encode(),
        newest["document"].encode(),
        base64.b64decode(newest["signature"]),
        public.encode(),
    )
    for name, part in zip(FILES, parts, strict=True):
        (folder / name).write_bytes(part)


def _print(found: list[dict[str, Any]]) -> None:
    if not found:
        print("no erase certificate")
    for one in found:
        word = "good" if one["good"] else f"NOT GOOD: {one['problem']}"
        print(f"{one['node']}  job {one['id']}  signature {word}")
        for disk in one["erasure"]["disks"] if one["good"] else ():
            proof = disk["verified"]
            print(f"  {disk['name']}  serial {disk['serial']}  wwn {disk['wwn']}  {disk['model']}")
            print(f"    {disk['bytes']} bytes: {disk['method']}")
            print(f"    read back: {proof['how']}, {proof['bytes']} bytes")


def _print_checked(checked: dict[str, Any]) -> None:
    if not checked["good"]:
        print(f"NOT GOOD: {checked['problem']}")
        return
    erasure = checked["erasure"]
    disks = ", ".join(str(disk["serial"] or disk["name"]) for disk in erasure["disks"])
    print(f"good: {erasure['node']} erased {disks}, issued {erasure['issued']}")
