"""The command line of the DHCP and DNS service."""

from __future__ import annotations

import logging
import time
from typing import Annotated

import typer

from racksalt.bootstrap import settings_from
from racksalt.cli_output import show
from racksalt.settings import Settings

dhcp = typer.Typer(help="DHCP, TFTP and DNS for the provisioning networks.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _settings(context: typer.Context) -> Settings:
    return settings_from(context.find_root().params.get("settings"))


def serve_dhcp(context: typer.Context) -> None:
    """Serve DHCP, TFTP and DNS from the store; needs root, but neither conductor nor Salt master."""
    from racksalt.dhcp_service import serve

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    serve(_settings(context))


@dhcp.command("leases")
def dhcp_leases(context: typer.Context, as_json: Json = False) -> None:
    """List the leases that were handed out and are not over."""
    from racksalt.dhcp_view import leases

    show(leases(_settings(context), time.time()), as_json)


@dhcp.command("render")
def dhcp_render(
    context: typer.Context,
    node: Annotated[str, typer.Option(help="Show what is written for this node alone.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Let the server say whether it can read it.")
    ] = False,
) -> None:
    """Print what would be written for the server; nothing is changed."""
    from racksalt.dhcp_view import render

    text, problems = render(_settings(context), node, check=check)
    typer.echo(text)
    for problem in problems:
        typer.echo(f"# left out: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
