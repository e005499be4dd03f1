"""The database: SQLAlchemy Core tables, migrations, journal, inbox and outbox. The only door to SQLAlchemy."""

from racksalt.store.store import Store
from racksalt.store.transaction import Transaction

__all__ = ["Store", "Transaction"]
