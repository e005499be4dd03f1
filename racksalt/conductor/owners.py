"""What of a declaration another node has: its MACs and its BMC. Who is out of use gives them up; who is in use, not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from racksalt.model.names import one_spelling
from racksalt.model.node import Bmc, Node
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.store import Transaction
from racksalt.store.tables import bmcs, nics

RETIRED = "retired"
_Where = tuple[str, int]


class Owners(NamedTuple):
    """Who has what is declared.

    ``macs`` says whose each known MAC is; ``refused`` why a node's BMC is not taken in; ``lost`` what nodes just gave
    up, by part.
    """

    macs: dict[str, str]
    refused: dict[str, str]
    lost: dict[str, dict[str, str]]


def make_way(tx: Transaction, site: Declarations, everything: Declarations) -> Owners:
    """Free the MACs and BMCs of ``site``'s nodes that others have no more use for; return whose they are now.

    ``everything`` is all that is declared: what a retired node's own declaration still gives to it stays with it.
    """
    macs, lost = _macs(tx, site, everything)
    refused, given_up = _bmcs(tx, site, everything)
    for node, told in given_up.items():
        lost.setdefault(node, {})["bmc"] = told
    tx.touch(lost)
    return Owners(macs, refused, lost)


def _macs(
    tx: Transaction, site: Declarations, everything: Declarations
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Take the declared MACs from those who must give them up; return whose the others are, and who lost some."""
    wanted = {mac: node.id for node in site.nodes.values() for mac in node.macs}
    owners = tx.mac_owners(wanted)
    nodes = tx.nodes(set(owners.values()))
    gone: dict[str, list[str]] = {}
    for mac, owner in list(owners.items()):
        if _gives_up_mac(nodes[owner], mac, everything.nodes):
            gone.setdefault(owner, []).append(f"{mac} is {wanted[mac]}'s now")
            del owners[mac]
            tx.remove(nics, mac=mac)
    return owners, {owner: {"macs": "; ".join(told)} for owner, told in gone.items()}


def _gives_up_mac(owner: Node, mac: str, declared: Mapping[str, NodeDeclaration]) -> bool:
    """Say whether a node must give up a MAC: nobody let it in, or it is out of use, and no file says it is its own."""
    own = declared.get(owner.id)
    if owner.state == RETIRED:
        return own is None or mac not in own.macs
    return own is None and not owner.approved


def _bmcs(
    tx: Transaction, site: Declarations, everything: Declarations
) -> tuple[dict[str, str], dict[str, str]]:
    """Take the declared BMCs from those who must give them up; return why others are refused, and who lost one.

    Two nodes with one BMC are one machine under two names: a command to either cuts the power of both.
    """
    wanted = {
        where: node.id
        for node in site.nodes.values()
        if node.bmc and (where := _where(node.bmc)) is not None
    }
    rows = tx.all_of(Bmc) if wanted else []
    found = [(it, where) for it in rows if (where := _where(it)) in wanted and where is not None]
    held = [(it, wanted[where]) for it, where in found if wanted[where] != it.node]
    nodes = tx.nodes({row.node for row, _ in held})
    refused: dict[str, str] = {}
    lost: dict[str, str] = {}
    for row, taker in held:
        if _gives_up_bmc(nodes[row.node], row, site.nodes, everything.nodes):
            tx.remove(bmcs, node=row.node)
            lost[row.node] = f"{row.protocol} {row.address}:{row.port} is {taker}'s now"
        else:
            refused[taker] = _why_not(row)
    return refused, lost


def _gives_up_bmc(
    holder: Node,
    row: Bmc,
    moved: Mapping[str, NodeDeclaration],
    declared: Mapping[str, NodeDeclaration],
) -> bool:
    """Say whether a node must give up its BMC: the same declaration moves it, or the node is out of use."""
    own = declared.get(holder.id)
    keeps = own is not None and own.bmc is not None and _where(own.bmc) == _where(row)
    return not keeps and (holder.id in moved or holder.state == RETIRED)


def _where(bmc: Bmc) -> _Where | None:
    """Return what tells a BMC from others; None for a simulated one: one lab answers for many."""
    return None if bmc.protocol == "simulated" else (one_spelling(bmc.address), bmc.port)


def _why_not(row: Bmc) -> str:
    return (
        f"{row.address} port {row.port} is the BMC of {row.node} and was not taken in: give a renamed machine its name "
        f"{row.node} back, or retire {row.node} first (that erases its disks); else correct the address"
    )
