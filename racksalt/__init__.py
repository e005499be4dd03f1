"""racksalt: from power-on to running software, on Salt.

Read in this order: ``psm/table.py``, ``conductor/handle.py``, ``salt/_engines/racksalt_conductor.py``,
``graphql_api/schema.py``.
"""

__version__ = "0.1.0"
