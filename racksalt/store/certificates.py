"""Reads erase certificates."""

from __future__ import annotations

from racksalt.model.certificate import EraseCertificate
from racksalt.store import tables as t
from racksalt.store.rows import query, reader
from racksalt.store.store import Store


def certificates(store: Store, node: str, limit: int) -> list[EraseCertificate]:
    """Return a node's newest ``limit`` certificates, newest first; those of a node that is forgotten too."""
    of = t.erase_certificates.c
    wanted = query(EraseCertificate).where(of.node == node).order_by(of.seq.desc()).limit(limit)
    with store.read() as connection:
        return reader(EraseCertificate)(connection.execute(wanted))
