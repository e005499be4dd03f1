"""``GET /images/…``: the catalogue's files, for firmware and for nodes that are being installed.

Large files go out in pieces, with ranges (RFC 9110 section 14), so that a broken download goes on
where it stopped. There are no listings, and nothing outside the catalogue's folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.responses import FileResponse, Response

from racksalt.boot_api.errors import respond
from racksalt.model.errors import NotFoundError, RacksaltError

if TYPE_CHECKING:
    from starlette.requests import Request

    from racksalt.boot_api.context import Context

_TYPES = {".json": "application/json", ".pub": "text/plain"}


class _Pieces(FileResponse):
    """Reads a mebibyte at a time: each piece costs a turn of a thread."""

    chunk_size = 2**20


class Files:
    """The endpoint. ``folder`` need not be there when the API starts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._folder = Path(context.settings.images.folder)

    async def __call__(self, request: Request) -> Response:
        """Return one file, or a part of it; the boot API's own 404 for everything else."""
        path = request.path_params["path"]
        try:
            self._context.throttle(request.client.host if request.client else "")
            found, status = await anyio.to_thread.run_sync(self._find, path)
        except RacksaltError as error:
            return respond(error)
        kind = _TYPES.get(found.suffix, "application/octet-stream")
        return _Pieces(found, media_type=kind, stat_result=status)

    def _find(self, path: str) -> tuple[Path, os.stat_result]:
        """Return a regular file below the folder, links followed; raise NotFoundError otherwise."""
        parts = path.split("/")
        # Drafts and versions on their way out begin with a dot, as do the two names of folders.
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            raise NotFoundError(f"no image {path[:200]!r}")
        try:
            top = self._folder.resolve(strict=True)
            found = (self._folder / path).resolve(strict=True)
            status = found.stat()
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            raise NotFoundError(f"no image {path[:200]!r}", "`racksalt image list`") from None
        inside = found.is_relative_to(top)
        hidden = inside and any(part.startswith(".") for part in found.relative_to(top).parts)
        if not inside or hidden or not stat.S_ISREG(status.st_mode):
            raise NotFoundError(f"no image {path[:200]!r}", "`racksalt image list`")
        return found, status
