"""Reads the settings file; every error names file, key and remedy."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from racksalt.model.errors import SettingsError
from racksalt.settings import Settings


def read_settings(path: str | Path) -> Settings:
    """Return the settings in a YAML file; what is not there has its default.

    Raises:
        SettingsError: unreadable, no YAML, an unknown key, or a value of the wrong kind.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}",
            "create it; docs/reference/settings.md has all keys",
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is no text in UTF-8", "restore the file") from None
    try:
        return msgspec.convert(yaml.safe_load(text) or {}, Settings)
    except yaml.YAMLError as error:
        # Where, but never what: the line may hold a database's password.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: is no YAML", "mend that line") from None
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{path}: {error}", "see docs/reference/settings.md for all keys"
        ) from None


def write_settings(path: str | Path, settings: Settings) -> None:
    """Write settings as YAML, so that `read_settings` gives them back."""
    Path(path).write_text(
        yaml.safe_dump(msgspec.to_builtins(settings), sort_keys=False), encoding="utf-8"
    )
