"""Errors carry what a person needs."""

from __future__ import annotations

import pytest

from racksalt.model import errors


def test_text_holds_message_and_hint():
    """Printed alone, an error still says what to do."""
    error = errors.NotFoundError("node 'n9' is unknown", "see `racksalt node list`", node="n9")
    assert str(error) == "node 'n9' is unknown (see `racksalt node list`)"
    assert (error.message, error.hint) == ("node 'n9' is unknown", "see `racksalt node list`")
    assert error.detail == {"node": "n9"}


def test_without_a_hint_the_text_is_the_message():
    """No empty parentheses."""
    assert str(errors.ConflictError("changed meanwhile")) == "changed meanwhile"


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.BmcUnreachableError, errors.BmcError),
        (errors.BmcRefusedError, errors.BmcError),
        (errors.BmcSuspendedError, errors.BmcError),
        (errors.SettingsError, errors.InvalidInputError),
    ],
)
def test_special_cases_can_be_caught_as_the_general_one(child, parent):
    """Who does not care which BMC trouble it was catches one class."""
    with pytest.raises(parent):
        raise child("message")
