"""``racksalt image``: build, list, check and choose boot and system images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from racksalt.bootstrap import settings_from
from racksalt.cli_output import show
from racksalt.model.errors import NotFoundError
from racksalt.settings import Settings

image = typer.Typer(help="Boot and system images.", no_args_is_help=True)
make = typer.Typer(help="Build images from their recipes.", no_args_is_help=True)
image.add_typer(make, name="build")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Kernel = Annotated[str, typer.Option(help="`full` for all hardware, `cloud` for virtual machines.")]
Refresh = Annotated[bool, typer.Option(help="Fetch the newest packages.")]
Sources = Annotated[
    Path | None,
    typer.Option(help="apt sources (deb822) of a distribution that this machine does not run."),
]
Image = Annotated[str, typer.Argument(help="Such as live/x86_64 or os/debian-12.")]


def _settings(context: typer.Context) -> Settings:
    return settings_from(context.find_root().params.get("settings"))


@make.command("live")
def build_live(
    context: typer.Context,
    kernel: Kernel = "full",
    refresh: Refresh = False,
    sources: Sources = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Build what machines boot into over the network."""
    _build(context, "live", kernel, refresh, sources, dry_run, as_json)


@make.command("os")
def build_os(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a file that ends in .yaml.")],
    kernel: Kernel = "full",
    refresh: Refresh = False,
    sources: Sources = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Build a system that is installed on machines' disks."""
    _build(context, recipe, kernel, refresh, sources, dry_run, as_json)


def _build(
    context: typer.Context,
    name: str,
    kernel: str,
    refresh: bool,
    sources: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from racksalt.images.build import Wish, build, plan
    from racksalt.images.recipe import load

    wish = Wish(recipe=load(name), kernel=kernel, refresh=refresh, sources=sources)
    if dry_run:
        show(plan(_settings(context), wish), as_json)
        return
    # Progress goes to the other stream, so that --json can be read by a program.
    answer = build(_settings(context), wish, lambda text: typer.echo(text, err=True))
    show(answer, as_json, None if as_json else _print_built)


def _print_built(answer: dict[str, Any]) -> None:
    typer.echo(f"{answer['image']} {answer['version']}: {answer['folder']}")
    for name, size in sorted(answer["bytes"].items()):
        typer.echo(f"  {size / 1e6:9.1f} MB  {name}")


@image.command("recipes")
def recipes(as_json: Json = False) -> None:
    """List the recipes that come with racksalt."""
    from racksalt.images.recipe import load, names

    found = [load(name) for name in names()]
    rows = [{"recipe": r.name, "kind": r.kind, "suite": r.suite, "title": r.title} for r in found]
    show(rows, as_json)


@image.command("list")
def list_images(context: typer.Context, as_json: Json = False) -> None:
    """List all versions of all images, and which are in use."""
    from racksalt.images.catalogue import Catalogue

    catalogue = Catalogue(_settings(context).images.folder)
    show([one._asdict() for one in catalogue.listing()], as_json)


@image.command("verify")
def verify(
    context: typer.Context,
    image: Annotated[str, typer.Argument(help="One image; all of them without it.")] = "",
    version: str = "",
    as_json: Json = False,
) -> None:
    """Read every byte and say which images are not what was built and signed here."""
    from racksalt.images.catalogue import Catalogue

    catalogue = Catalogue(_settings(context).images.folder)
    rows = [
        {"image": name, "version": found, "ok": not wrong, "problems": "; ".join(wrong)}
        for name, found in catalogue.chosen(image, version)
        for wrong in [catalogue.verify(name, found)]
    ]
    show(rows, as_json)
    if not rows:
        raise NotFoundError(
            f"there is no image{' of version ' + version if version else ''} in {catalogue.folder}",
            "`racksalt image list` has all; `racksalt image build live` makes one",
        )
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@image.command("use")
def use(
    context: typer.Context,
    image: Image,
    version: Annotated[str, typer.Argument()],
    dry_run: DryRun = False,
) -> None:
    """Make a version the one that machines boot or that is installed."""
    from racksalt.images.catalogue import Catalogue

    catalogue = Catalogue(_settings(context).images.folder)
    catalogue.path(image, version)
    if not dry_run:
        catalogue.use(image, version)


@image.command("remove")
def remove(
    context: typer.Context,
    image: Image,
    version: Annotated[str, typer.Argument()],
    dry_run: DryRun = False,
) -> None:
    """Remove a version that is not in use."""
    from racksalt.images.catalogue import Catalogue

    Catalogue(_settings(context).images.folder).remove(image, version, test=dry_run)


@image.command("key")
def key(context: typer.Context, as_json: Json = False) -> None:
    """Make the key pair that vouches for images, unless it is there; show the public key."""
    from racksalt.images import signing
    from racksalt.images.catalogue import Catalogue

    settings = _settings(context)
    pair = signing.open_key(settings.secrets)
    catalogue = Catalogue(settings.images.folder)
    catalogue.write_key(pair)
    pem = pair.public().pem.decode()
    show({"public_key": pem, "file": str(catalogue.folder / signing.PUBLIC)}, as_json)
