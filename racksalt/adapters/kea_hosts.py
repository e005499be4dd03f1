"""Keeps Kea's host database at what is wanted. Kea reads it at each request: nothing has to be reloaded.

Rows are marked as ours in ``user_context``; those of the site itself are never touched. One MAC has one reservation in
a subnet, so where the site has one, ours is left out: the database would refuse all others along with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from racksalt.model.errors import DhcpError
from racksalt.network.dnsmasq import OPTION_ENVIRONMENT, OPTION_NODE
from racksalt.network.kea import HostRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

BY_MAC, OF_HOST = 0, 3
"""Kea's numbers for an identifier that is a MAC and for an option that belongs to a host."""
MARK = "racksalt"
_OURS = """
SELECT h.host_id, encode(h.dhcp_identifier, 'hex'), coalesce(h.dhcp4_subnet_id, h.dhcp6_subnet_id),
       h.ipv4_address, h.hostname, h.user_context,
       ARRAY(SELECT r.address::text FROM ipv6_reservations r WHERE r.host_id = h.host_id
             ORDER BY r.reservation_id)
FROM hosts h WHERE h.dhcp_identifier_type = 0 AND h.user_context LIKE '{"racksalt"%'
"""
_OF_THE_SITE = """
SELECT encode(dhcp_identifier, 'hex'), dhcp4_subnet_id, dhcp6_subnet_id FROM hosts
WHERE dhcp_identifier_type = 0 AND dhcp_identifier = ANY(%s)
  AND (user_context IS NULL OR user_context NOT LIKE '{"racksalt"%%')
"""
_HOST = """
INSERT INTO hosts (dhcp_identifier, dhcp_identifier_type, dhcp4_subnet_id, dhcp6_subnet_id,
                   ipv4_address, hostname, user_context)
VALUES (decode(%s, 'hex'), 0, %s, %s, %s, %s, %s) RETURNING host_id
"""
_V6 = "INSERT INTO ipv6_reservations (address, prefix_len, type, host_id) VALUES (%s, 128, 0, %s)"
_OPTION = """
INSERT INTO dhcp4_options (code, value, space, persistent, host_id, scope_id)
VALUES (%s, %s, 'dhcp4', true, %s, 3)
"""


class KeaHosts:
    """The reservations in one Kea database (PostgreSQL)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: dict[tuple[str, int], HostRow] | None = None
        self._ids: dict[tuple[str, int], int] = {}
        self.left_out: list[HostRow] = []

    def apply(self, wanted: Mapping[tuple[str, int], HostRow]) -> int:
        """Write what differs, in one transaction; return how many reservations that were.

        ``left_out`` are afterwards those for which the site has its own; they are looked at again each time.

        Raises:
            DhcpError: the database refused; nothing was written.
        """
        with _told():
            if self._known is None:
                self._read()
            known = self._known or {}
            gone = [key for key, row in known.items() if wanted.get(key) != row]
            fresh = {key: row for key, row in wanted.items() if known.get(key) != row}
            self.left_out = []
            if not gone and not fresh:
                return 0
            self._known = None
            with self._connect() as connection, connection.cursor() as cursor:
                ids = [self._ids[key] for key in gone]
                cursor.execute("DELETE FROM hosts WHERE host_id = ANY(%s)", (ids,))
                theirs = _of_the_site(cursor, fresh)
                self.left_out = [fresh.pop(key) for key in sorted(theirs & fresh.keys())]
                added = _insert(cursor, fresh.values())
            for key in gone:
                del self._ids[key]
            self._ids.update(added)
            self._known = {key: row for key, row in wanted.items() if key in self._ids}
            return len(fresh) + len(gone)

    def database(self) -> dict[str, str]:
        """Return the database's place as Kea's configuration has it."""
        import psycopg.conninfo

        with _told():
            parts = psycopg.conninfo.conninfo_to_dict(self._url)
        names = {"dbname": "name", "host": "host", "user": "user", "password": "password"}
        return {
            "type": "postgresql",
            **{ours: str(parts[theirs]) for theirs, ours in names.items() if parts.get(theirs)},
        }

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        return psycopg.connect(self._url, connect_timeout=10)

    def _read(self) -> None:
        """Learn what an earlier service has written."""
        self._known, self._ids = {}, {}
        with self._connect() as connection:
            for number, mac, subnet, ipv4, label, context, ipv6 in connection.execute(_OURS):
                node, environment = json.loads(context)[MARK]
                key = (_mac(mac), subnet)
                self._ids[key] = number
                self._known[key] = HostRow(*key, ipv4, tuple(ipv6), label, node, environment)


def _of_the_site(
    cursor: psycopg.Cursor[Any], keys: Iterable[tuple[str, int]]
) -> set[tuple[str, int]]:
    """Return the reservations of the site itself for these MACs."""
    macs = sorted({mac for mac, _ in keys})
    cursor.execute(_OF_THE_SITE, ([bytes.fromhex(mac.replace(":", "")) for mac in macs],))
    return {
        (_mac(told), subnet)
        for told, *subnets in cursor.fetchall()
        for subnet in subnets
        if subnet is not None
    }


def _mac(told: str) -> str:
    return ":".join(told[n : n + 2] for n in range(0, len(told), 2))


def _insert(cursor: psycopg.Cursor[Any], rows: Iterable[HostRow]) -> dict[tuple[str, int], int]:
    rows = list(rows)
    if not rows:
        return {}
    hosts = [
        (
            row.mac.replace(":", ""),
            row.subnet,
            row.subnet,
            row.ipv4,
            row.label,
            json.dumps({MARK: [row.node, row.environment]}),
        )
        for row in rows
    ]
    cursor.executemany(_HOST, hosts, returning=True)
    ids: list[int] = []
    while True:
        found = cursor.fetchone()
        assert found is not None
        ids.append(found[0])
        if not cursor.nextset():
            break
    pairs = list(zip(ids, rows, strict=True))
    v6 = [(address, number) for number, row in pairs for address in row.ipv6]
    if v6:
        cursor.executemany(_V6, v6)
    options = [
        (code, value.encode(), number)
        for number, row in pairs
        for code, value in ((OPTION_NODE, row.node), (OPTION_ENVIRONMENT, row.environment))
    ]
    cursor.executemany(_OPTION, options)
    return {(row.mac, row.subnet): number for number, row in pairs}


@contextmanager
def _told() -> Iterator[None]:
    """Say what went wrong with the database, without its address: that may hold a password."""
    try:
        import psycopg
    except ImportError:
        raise DhcpError(
            "Kea's database needs psycopg", "pip install 'racksalt[postgresql]'"
        ) from None
    try:
        yield
    except psycopg.OperationalError as error:
        raise DhcpError(
            f"Kea's database cannot be reached ({type(error).__name__})",
            "look at dhcp.kea_database and at the database's log; it is tried again",
        ) from None
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        raise DhcpError(
            f"Kea's database refused: {said}", "`kea-admin db-init pgsql` makes its tables"
        ) from None
