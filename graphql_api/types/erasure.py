"""Signed erase certificates."""

from __future__ import annotations

import asyncio
from typing import Any

import strawberry
from strawberry.types import Info

from graphql_api.auth import AUDIT_READ
from graphql_api.context import Context
from graphql_api.problems import UserError
from graphql_api.snapshot.objects import timestamp
from graphql_api.types.scalars import BigInt, DateTime
from racksalt.model.errors import NotFoundError

MOST = 100


@strawberry.type(description="A disk that was erased, as the certificate's text has it.")
class ErasedDisk:
    """One disk of a certificate."""

    name: str | None
    serial: str | None
    wwn: str | None
    model: str | None
    size_bytes: BigInt | None
    method: str | None
    verified: str | None = strawberry.field(description="How it was read back.")
    verified_bytes: BigInt | None


@strawberry.type(description="What was erased, when and how, signed by this site.")
class EraseCertificate:
    """Mirrors model.certificate.EraseCertificate."""

    id: strawberry.ID = strawberry.field(description="Id of the job that erased.")
    node_id: str
    at: DateTime = strawberry.field(description="When it was issued.")
    good: bool = strawberry.field(description="The signature fits the text; checked now.")
    problem: str = strawberry.field(description="Why it is not good; empty for a good one.")
    disks: list[ErasedDisk] = strawberry.field(description="Empty when it is not good.")
    document: str = strawberry.field(description="The very text that was signed (JSON).")
    signature: str = strawberry.field(description="Ed25519 over the text's bytes, base64.")
    key: str = strawberry.field(description="SHA-256 of the public key, hex.")


async def erase_certificates(
    info: Info[Context, None], node: strawberry.ID, first: int = 20
) -> list[EraseCertificate]:
    """The node's newest certificates."""
    context = info.context
    context.require(AUDIT_READ)
    if not 1 <= first <= MOST:
        raise UserError("LIMIT", f"eraseCertificates: first must be 1 to {MOST}, not {first}")
    asked = context.services.operations.erase_certificates
    try:
        found = await asyncio.to_thread(asked, str(node), first)
    except NotFoundError:
        return []
    return [_certificate(one) for one in found]


def _certificate(one: dict[str, Any]) -> EraseCertificate:
    return EraseCertificate(
        id=strawberry.ID(one["id"]),
        node_id=one["node"],
        at=timestamp(one["at"]),  # type: ignore[arg-type]
        good=one["good"],
        problem=one["problem"],
        disks=[_disk(disk) for disk in one["erasure"]["disks"]] if one["good"] else [],
        document=one["document"],
        signature=one["signature"],
        key=one["key"],
    )


def _disk(disk: dict[str, Any]) -> ErasedDisk:
    texts = {name: disk[name] for name in ("name", "serial", "wwn", "model", "method")}
    return ErasedDisk(
        **texts,
        size_bytes=disk["bytes"],
        verified=disk["verified"]["how"],
        verified_bytes=disk["verified"]["bytes"],
    )
