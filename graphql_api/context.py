"""What a resolver may use: the snapshot, the journal, the operations, and who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql_api.facts import FactsLoader
from graphql_api.history import Histories
from graphql_api.problems import forbidden

if TYPE_CHECKING:
    from graphql_api.auth import Caller
    from graphql_api.services import Services
    from graphql_api.snapshot.snapshot import Snapshot


@dataclass(slots=True)
class Context:
    """One per request. ``snapshot`` is fixed for the request; ``cost`` is what it was reckoned to cost.

    A subscription lasts longer than a snapshot: it lets go of its own, and each of its answers has one of the moment.

    ``since`` is where a reconnecting client says that it was, whatever its operation says.
    """

    services: Services
    caller: Caller
    snapshot: Snapshot
    cost: int = 0
    since: int | None = None
    histories: Histories = field(init=False)
    facts: FactsLoader = field(init=False)

    def __post_init__(self) -> None:
        self.histories = Histories(self)
        self.facts = FactsLoader(self)

    def let_go(self) -> None:
        """Hold the snapshot no longer, nor have it."""
        del self.snapshot

    def at_present(self) -> Context:
        """Return a context of the same caller over the snapshot of this moment."""
        return Context(self.services, self.caller, self.services.snapshot, self.cost)

    @property
    def operations(self) -> Any:
        """The verbs that runner, command line and this API share (racksalt.conductor.operations)."""
        return self.services.operations

    def require(self, scope: str) -> None:
        """Raise the refusal (code FORBIDDEN) unless the caller has the scope."""
        if not self.caller.may(scope):
            raise forbidden(scope)
