"""Migrations: they make what the tables say, one way and back."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from racksalt.model.errors import StoreError
from racksalt.model.node import Hardware, Node
from racksalt.model.place import Network
from racksalt.store import Store
from racksalt.store.boot_reads import marks
from racksalt.store.engine import WRITE, open_engine
from racksalt.store.migrate import HERE, migrate, revision
from racksalt.store.migrations import HEAD
from racksalt.store.tables import metadata

OPEN = "import sys; from racksalt.store import Store; s = Store(sys.argv[1]); print(s.count('nodes')); s.close()"


def _scripts():
    config = Config()
    config.set_main_option("script_location", str(HERE))
    return config, ScriptDirectory.from_config(config)


def test_the_constant_names_the_newest_file():
    """HEAD saves the import of Alembic; it must be true."""
    assert _scripts()[1].get_current_head() == HEAD


def test_migrations_make_what_the_tables_say(own_url):
    """Alembic finds no difference between a migrated database and the metadata."""
    engine = open_engine(own_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_down_to_nothing_and_up_again(own_url):
    """Each migration can be taken back and done again."""
    engine = open_engine(own_url)
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        config = _scripts()[0]
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    assert revision(engine) is None
    migrate(engine)
    assert revision(engine) == HEAD
    engine.dispose()


def test_networks_of_the_first_release_go_on(own_url):
    """What an older racksalt wrote is read with the defaults of what it did not know."""
    engine = open_engine(own_url)
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        config = _scripts()[0]
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO networks (name, purpose, cidr_v4) VALUES ('a', 'storage', '10.0.0.0/24')"
        )
    engine.dispose()
    store = Store(own_url)
    assert store.all_of(Network) == [Network(name="a", purpose="storage", cidr_v4="10.0.0.0/24")]
    store.close()


def test_serial_numbers_of_an_older_release_are_found_in_any_spelling(own_url):
    """What was written before there were keys gets its key, and one that is none gets none."""
    nodes = [Node(id=f"n{n}", state="declared", version=0, state_since=0.0) for n in range(4)]
    serials = ["ABC 123-x", "--", None, "abc124"]
    store = Store(own_url)
    with store.write() as tx:
        tx.add_nodes(nodes)
        tx.put([Hardware(node=n.id, serial=s) for n, s in zip(nodes, serials, strict=True)])
    store.close()
    engine = open_engine(own_url)
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        config = _scripts()[0]
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
        columns = {it["name"] for it in inspect(connection).get_columns("hardware")}
        assert "serial_key" not in columns
    engine.dispose()
    store = Store(own_url)
    assert [it.node for it in marks(store, [], [], ["abc123X"])] == ["n0"]
    assert [it["serial_key"] for it in sorted(store.rows("hardware"), key=lambda it: it["node"])] == [
        *("abc123x", None, None, "abc124")
    ]  # fmt: skip
    assert [it.serial for it in sorted(store.all_of(Hardware), key=lambda it: it.node)] == serials
    store.close()


def test_a_database_of_a_newer_racksalt_is_left_alone(own_url):
    """An unknown revision is refused with a remedy; nothing is changed."""
    engine = open_engine(own_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"'9999' is unknown.*newer racksalt"):
        Store(own_url)
    assert revision(engine) == "9999"
    engine.dispose()


def test_processes_that_open_an_empty_database_at_once_all_succeed(empty_url):
    """One migrates, the others wait for it."""
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", OPEN, empty_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60) for child in children]
    assert [out.strip() for out, _ in said] == ["0"] * 2, said


def test_a_file_that_is_no_database_is_told(tmp_path):
    """The message names what is wrong, not a traceback of the driver."""
    path = tmp_path / "no.db"
    path.write_bytes(b"this is no database, only text that is long enough" * 100)
    with pytest.raises(StoreError, match="cannot open the database"):
        Store(f"sqlite:///{path}")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    """A path whose folder is missing is an error with a remedy."""
    with pytest.raises(StoreError, match="check its path"):
        Store(f"sqlite:///{tmp_path}/missing/racksalt.db")
