"""``racksalt lab qemu``: arguments only; the lab is in ``racksalt/lab/qemu``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

IMAGES = Path("/srv/racksalt/images")


def lab_qemu(
    nodes: Annotated[int, typer.Option(help="How many machines, 1.3 GiB of memory each.")] = 3,
    images: Annotated[
        Path, typer.Option(help="Folder that `racksalt image build` fills.")
    ] = IMAGES,
    uefi_every: Annotated[
        int, typer.Option(help="Every which machine has UEFI; 0: all have BIOS.")
    ] = 3,
    exit_when_done: Annotated[
        bool, typer.Option("--exit", help="End by itself; 0 only if all got to ready.")
    ] = False,
) -> None:
    """Bring QEMU machines with blank disks from power-on to ready, in a network of their own; needs root."""
    from racksalt.lab.qemu.lab import run

    status = run(nodes, images, uefi_every=uefi_every, exit_when_done=exit_when_done)
    raise typer.Exit(status)
