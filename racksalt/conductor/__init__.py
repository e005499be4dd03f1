"""The conductor: journal, step, outbox, effects, deadlines, reconcile. Start at ``handle.py``."""

from racksalt.conductor.conductor import Conductor
from racksalt.conductor.handle import Outcome
from racksalt.conductor.ports import World

__all__ = ["Conductor", "Outcome", "World"]
