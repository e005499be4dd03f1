"""From the documents under ``pillar/site/`` to Declarations, with every problem on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from racksalt.model.node import Bmc
from racksalt.model.place import Rack, Zone
from racksalt.site.checks import check, normal
from racksalt.site.fields import Section, parse
from racksalt.site.networks import claims, conduits, networks, with_nics
from racksalt.site.problems import SiteProblem, one_of
from racksalt.site.schema import Declarations, NodeDeclaration, Policy
from racksalt.site.stages import additions
from racksalt.site.switches import switches

SECTIONS: Final = (
    "zones",
    "racks",
    "nodes",
    "networks",
    "conduits",
    "switches",
    "policy",
    "stages",
    "sequences",
)


def declare(documents: Mapping[str, Any]) -> tuple[Declarations, list[SiteProblem]]:
    """Return what the documents (file -> plain data) declare and all that is wrong with them.

    With errors among the problems, the declarations hold only what was fit to use.
    """
    reader = _Reader(documents)
    sections = reader.sections
    nodes = reader.nodes()
    declared = Declarations(
        zones=reader.things("zones", Zone),
        racks=reader.things("racks", Rack),
        nodes=nodes,
        networks=networks(sections["networks"]),
        conduits=conduits(sections["conduits"]),
        switches=switches(sections["switches"]),
        policy=reader.policy(),
        additions=additions(sections["stages"], sections["sequences"]),
        files=reader.files,
        claims=claims(nodes.values()),
    )
    return declared, [*reader.problems, *check(declared)]


class _Reader:
    """Takes documents apart; ``problems`` grows, ``declared`` has what was fit to use."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.problems: list[SiteProblem] = []
        self.files: dict[tuple[str, str], str] = {}
        self.sections: dict[str, dict[str, Section]] = {name: {} for name in SECTIONS}
        for file, document in documents.items():
            self._sort(file, document)

    def _sort(self, file: str, document: Any) -> None:
        """Put each named thing of one file into its section."""
        if not isinstance(document, Mapping):
            self._say(file, "", "the file is not a map", f"begin with one of {', '.join(SECTIONS)}")
            return
        for section, body in document.items():
            if section not in SECTIONS:
                self._say(file, section, "no such section", one_of(section, SECTIONS))
            elif section == "policy":
                self._enter(file, "policy", "policy", body)
            elif section == "zones" and isinstance(body, list):
                for name in body:
                    self._enter(file, "zones", name, {})
            elif isinstance(body, Mapping):
                for name, thing in body.items():
                    self._enter(file, section, name, thing)
            elif body is not None:
                self._say(file, section, "is not a map", "write a name and a colon for each entry")

    def _enter(self, file: str, section: str, name: Any, body: Any) -> None:
        key = section if section == "policy" else f"{section}:{name}"
        earlier = self.files.get((section, str(name)))
        if not isinstance(name, str) or not name:
            self._say(file, key, "the name is not text", "put it in quotes")
        elif earlier:
            self._say(file, key, f"is declared in {earlier} too", "keep one of the two")
        else:
            self.files[section, name] = file
            self.sections[section][name] = Section(file, key, body, self.problems)

    def _say(self, file: str, key: Any, message: str, hint: str) -> None:
        self.problems.append(SiteProblem(file, str(key), message, hint))

    def things(self, section: str, cls: type) -> dict[str, Any]:
        """Return the things of a section that parse, by name."""
        found: dict[str, Any] = {}
        for name, where in self.sections[section].items():
            thing: Any = parse(cls, where, given={"name": name})
            if thing is not None:
                found[name] = thing
        return found

    def nodes(self) -> dict[str, NodeDeclaration]:
        """Return the nodes that parse, with their BMCs."""
        found = {}
        for name, where in self.sections["nodes"].items():
            bmc = None
            where = with_nics(where)  # noqa: PLW2901  # the same piece, better to read
            inner = where.below("bmc")
            if inner is not None:
                bmc = parse(
                    Bmc, inner.with_defaults(_bmc_defaults(inner.body)), given={"node": name}
                )
            node = parse(NodeDeclaration, where, given={"id": name, "bmc": bmc}, skip=("bmc",))
            if node is not None:
                found[name] = normal(node)
        return found

    def policy(self) -> Policy:
        """Return the policy; without one, nothing goes by itself."""
        where = self.sections["policy"].get("policy")
        parsed = parse(Policy, where) if where else None
        return parsed or Policy()


def _bmc_defaults(body: Any) -> dict[str, Any]:
    redfish = isinstance(body, Mapping) and body.get("protocol") == "redfish"
    return {"protocol": "ipmi", "port": 443 if redfish else 623}
