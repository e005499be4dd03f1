"""The conductor: journal, step, outbox, effects, deadlines, reconcile. Start at ``handle.py``."""
