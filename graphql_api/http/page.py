"""The page to try queries in: GraphiQL from files of this package. Nothing is loaded from anywhere else."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

ASSETS = Path(__file__).with_name("assets")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""GraphiQL's editor places its lines with inline style attributes; scripts come from this server alone."""
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def render() -> Response:
    """Return the page; it needs no token, its queries do."""
    return Response(
        (ASSETS / "index.html").read_bytes(), media_type="text/html; charset=utf-8", headers=HEADERS
    )
