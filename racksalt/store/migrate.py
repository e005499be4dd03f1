"""Brings a database to the newest revision; cheap when it is there already."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from racksalt.model.errors import StoreError
from racksalt.store.engine import WRITE
from racksalt.store.migrations import HEAD

HERE = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> None:
    """Upgrade the database to ``HEAD``; several processes may try at once."""
    if revision(engine) == HEAD:
        return
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        if _revision(connection) != HEAD:
            upgrade(connection)


def revision(engine: Engine) -> str | None:
    """Return the database's revision, None for an empty database."""
    with engine.connect() as connection, connection.begin():
        return _revision(connection)


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run Alembic on an open transaction.

    Raises:
        StoreError: the database is of a revision that this version does not know; nothing was changed.
    """
    # Alembic takes a third of a second to import; only a database that needs it pays.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, target)
    except CommandError as error:
        raise StoreError(
            f"the database's revision {_revision(connection)!r} is unknown here: {error}",
            "a newer racksalt made it; install that one",
        ) from None


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
