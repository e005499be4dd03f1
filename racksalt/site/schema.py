"""What a site declares under ``pillar/site/``: the nouns of the model, and what only a site knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from racksalt.model.conduit import Conduit
from racksalt.model.node import Agent, Bmc
from racksalt.model.place import Network, Rack, Zone
from racksalt.model.switch import Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDeclaration:
    """A node that the site expects. ``position_u`` is its lowest rack unit; it fills ``height_u`` of them.

    ``macs`` are in lower-case colon form, the one that boots first. ``nics`` are the speeds of all its NICs by
    position (``10g``), if somebody knows them. ``addresses`` are those that it shall have, by network. ``bmc`` is None
    for a node without a management controller.
    """

    id: str
    rack: str
    position_u: int | None = None
    height_u: int = 1
    fqdn: str | None = None
    serial: str | None = None
    macs: tuple[str, ...] = ()
    nics: tuple[str, ...] = ()
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    agent: Agent = "salt"
    bmc: Bmc | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How far the site lets nodes go by themselves.

    ``approve`` says who lets unknown hardware in: ``hand`` a person, ``manifest`` its declared serial or MAC, ``auto``
    anybody, up to ``approve_limit`` machines that nobody declared. ``auto_commission`` starts declared nodes without a
    command; ``goal`` is the rest state that they head for.
    """

    approve: Literal["hand", "manifest", "auto"] = "hand"
    approve_limit: int | None = None
    auto_commission: bool = False
    goal: Literal["commissioned", "ready"] = "commissioned"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDeclaration:
    """A stage that the site adds, or the fields of a built-in one that it changes. None leaves a field as it is.

    ``when`` maps zone, rack, node, vendor or product to one value or several. ``after`` or ``before`` places the stage
    in ``sequence`` at once; without a sequence, in ``commission``.
    """

    environment: Literal["live", "installer"] | None = None
    sls: str | None = None
    deadline_s: int | None = None
    retries: int | None = None
    destructive: bool | None = None
    meaning: str | None = None
    when: dict[str, str | list[str]] | None = None
    sequence: str | None = None
    after: str | None = None
    before: str | None = None


class Place(NamedTuple):
    """A node and where it stands, as far as that is known."""

    node: str
    rack: str | None
    zone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """All that the files under ``pillar/site/`` declare, by name.

    ``additions`` is what ``Sequences.extend`` takes: ``{"stages": {name: {...}}, "sequences": {name: [edit, …]}}``.
    ``files`` maps (section, name) to the file that declares it; ``claims`` each address that the files give to a node,
    in its shortest form, to that node.
    """

    zones: dict[str, Zone] = field(default_factory=dict)
    racks: dict[str, Rack] = field(default_factory=dict)
    nodes: dict[str, NodeDeclaration] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    conduits: dict[str, Conduit] = field(default_factory=dict)
    switches: dict[str, Switch] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    additions: dict[str, Any] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)

    def known(self, section: str) -> set[str]:
        """Return the names that a section declares, also of things that do not parse."""
        return {name for where, name in self.files if where == section}

    def place(self, node: str) -> Place:
        """Return where a declared node stands; a node that is not declared stands nowhere."""
        declared = self.nodes.get(node)
        rack = self.racks.get(declared.rack) if declared else None
        return Place(node, rack.name if rack else None, rack.zone if rack else None)

    def places(self) -> list[Place]:
        """Return where each declared node stands, in the order of their ids."""
        return [self.place(node) for node in sorted(self.nodes)]
