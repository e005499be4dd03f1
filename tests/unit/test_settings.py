"""Settings: every key has a default that makes sense, and nonsense is refused."""

from __future__ import annotations

import msgspec
import pytest

from racksalt.settings import Settings


def test_no_file_content_is_a_whole_set_of_settings():
    """Every key has a default."""
    assert msgspec.convert({}, Settings) == Settings()


@pytest.mark.parametrize(
    "given",
    [
        {"databse": "sqlite://"},
        {"boot_api": {"prot": 1}},
        {"boot_api": {"port": 70000}},
        {"boot_api": {"port": "8800"}},
        {"conductor": {"workers": 0}},
        {"conductor": {"lease_s": 0}},
        {"conductor": {"deadline_factor": -1}},
        {"graphql": []},
    ],
)
def test_nonsense_is_refused(given):
    """A misspelt key would silently keep its default, so it is an error, as a value out of range is."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Settings)


def test_settings_cannot_change_while_a_process_runs():
    """They are read once; who needs others starts anew."""
    with pytest.raises(AttributeError):
        Settings().database = "sqlite://"


def test_nothing_listens_beyond_loopback_by_default():
    """Somebody must decide on which network the services are seen."""
    assert Settings().boot_api.host == Settings().graphql.host == "127.0.0.1"
