"""Passwords that makers ship: public knowledge, and the first that anybody tries."""

from __future__ import annotations

FACTORY_LOGINS: tuple[tuple[str, str], ...] = (
    ("ADMIN", "ADMIN"),
    ("root", "calvin"),
    ("USERID", "PASSW0RD"),
    ("admin", "admin"),
    ("admin", "password"),
    ("root", "0penBmc"),
    ("Administrator", "superuser"),
)
"""User name and password. Few, and at most two for one name: BMCs lock accounts."""
