"""The topology in memory: slotted objects linked by attributes, loaded once, kept current by the journal."""
