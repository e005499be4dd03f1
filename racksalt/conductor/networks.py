"""Networks that the files do not declare: a lost line must not cut nodes off, so that each is forgotten by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from racksalt.conductor.declare import declare
from racksalt.model.errors import ConflictError, InvalidInputError, NotFoundError
from racksalt.model.node import Address
from racksalt.model.place import Network
from racksalt.site.problems import one_of

if TYPE_CHECKING:
    from racksalt.conductor.operations import Operations
    from racksalt.site.schema import Declarations
    from racksalt.store import Store, Transaction

NAMED = 20
"""How many nodes a refusal names."""


def undeclared(store: Store, site: Declarations) -> list[str]:
    """Return the networks that are served though no file declares them; a Salt state may."""
    return sorted(it.name for it in store.all_of(Network) if it.name not in site.networks)


def forget(operations: Operations, name: str, *, test: bool = False) -> dict[str, Any]:
    """Forget a network, as declaring the site without it would; return what changed, or would with ``test``.

    Raises:
        NotFoundError: no such network.
        InvalidInputError: a file declares it.
        ConflictError: nodes have addresses in it; nothing was changed.
    """
    site = operations.site.declarations

    def check(tx: Transaction) -> None:
        _check(tx, site, name)

    store, now = operations.store, operations.clock()
    return declare(store, site, now, test=test, gone=(name,), check=check)


def _check(tx: Transaction, site: Declarations, name: str) -> None:
    """Refuse what must not go."""
    known = sorted(it.name for it in tx.all_of(Network))
    if name not in known:
        raise NotFoundError(f"no network {name!r} is known", one_of(name, known))
    if name in site.networks:
        raise InvalidInputError(
            f"network {name!r} is declared in {site.files[('networks', name)]}",
            "delete it there first; what the files declare comes back",
        )
    nodes = sorted({row.node for row in tx.all_of(Address) if row.network == name})
    if nodes:
        more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
        raise ConflictError(
            f"nodes have addresses in network {name!r}: {', '.join(nodes[:NAMED])}{more}",
            "retire them; or declare it once more, for another rack, so that they give them back; or declare a network "
            "of another name with its subnet, which takes its place and its addresses",
        )
