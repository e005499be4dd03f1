"""Alembic migrations: ``env.py`` runs them, ``versions/`` holds one file per change of the tables."""

HEAD = "0008"
"""The newest revision; a test holds it against ``versions/``."""
