from __future__ import annotations

from enum import Enum
from typing import get_args

import pytest
from graphql import GraphQLObjectType, is_leaf_type

from graphql_api import paging, records
from graphql_api.auth import SCOPES
from graphql_api.schema import schema
from graphql_api.snapshot import objects
from graphql_api.types import scalars
from racksalt.conductor import access
from racksalt.model import event, node, place
from racksalt.psm.table import COMMANDS, STATES

MIRRORS = {
    **{name: getattr(objects, name) for name in ("Zone", "Rack", "Network", "Power", "Hardware")},
    **{
        name: getattr(objects, name)
        for name in ("Bmc", "Nic", "Disk", "Address", "Node", "NetworkRange")
    },
    "Transition": records.Record,
    "TransitionEdge": records.RecordEdge,
    "TransitionConnection": records.RecordPage,
    "PageInfo": records.PageInfo,
    "NodeConnection": paging.Page,
    "RackConnection": paging.Page,
    "NodeEdge": paging.Edge,
    "RackEdge": paging.Edge,
}


def _words(enum: type[Enum]):
    return [member.value for member in enum]


def test_the_committed_schema_is_what_the_code_says(repository):
    """schema.graphql is generated; clients and reviewers read it."""
    committed = (repository / "graphql_api/schema.graphql").read_text(encoding="utf-8")
    assert committed.strip() == schema.as_str().strip()


def test_states_and_commands_are_those_of_the_machine():
    """The enumerations name each state and command of the table, and nothing else."""
    assert _words(scalars.NodeState) == [state.name for state in STATES]
    assert _words(scalars.Command) == list(COMMANDS)
    power = [one for one in COMMANDS if one.startswith("power_")]
    assert _words(scalars.PowerAction) == power
    assert _words(scalars.NodeCommand) == [one for one in COMMANDS if one not in power]


@pytest.mark.parametrize(
    ("enum", "words"),
    [
        (scalars.PowerState, get_args(node.PowerState)),
        (scalars.BootEnvironment, get_args(node.BootEnvironment)),
        (scalars.Agent, get_args(node.Agent)),
        (scalars.BmcProtocol, get_args(node.BmcProtocol)),
        (scalars.EntryKind, get_args(event.EntryKind)),
        (scalars.RangeUse, get_args(place.RangeUse)),
    ],
)
def test_words_are_those_of_the_model(enum, words):
    """An enumeration that lacked a word of the model would turn rows into errors."""
    assert sorted(_words(enum)) == sorted(words)


def test_words_of_parts_are_those_of_the_model():
    """The words of disks and addresses stand in annotations."""
    hints = {
        scalars.DiskMedia: node.Disk.__annotations__["media"],
        scalars.Health: node.Disk.__annotations__["health"],
        scalars.AddressKind: node.Address.__annotations__["kind"],
    }
    for enum, text in hints.items():
        assert sorted(_words(enum)) == sorted(get_args(eval(text, vars(node))))


def test_scopes_are_those_that_tokens_can_have():
    """A scope that no token can carry would lock its field for ever."""
    assert set(SCOPES) == set(access.SCOPES)


@pytest.mark.parametrize("name", sorted(MIRRORS))
def test_a_plain_field_is_an_attribute_of_its_object(name):
    """Fields without a resolver read exactly this attribute; a typo would be an error at run time."""
    type_ = schema._schema.type_map[name]
    assert isinstance(type_, GraphQLObjectType)
    for field in type_.fields.values():
        definition = field.extensions["strawberry-definition"]
        if definition.is_basic_field:
            assert hasattr(MIRRORS[name], definition.python_name), definition.python_name


def test_no_type_shows_a_credential():
    """Nothing in the schema is called a secret, a password, a user name or a hash of one."""
    for name, type_ in schema._schema.type_map.items():
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__"):
            for field in type_.fields:
                words = field.lower()
                assert not any(
                    word in words for word in ("secret", "password", "username", "credential")
                ), f"{name}.{field}"


def test_everything_is_described_that_a_client_chooses_from():
    """Root fields have descriptions; every argument named first has a default."""
    for root in ("Query", "Mutation", "Subscription"):
        for name, field in schema._schema.type_map[root].fields.items():
            assert field.description, f"{root}.{name}"
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for field in type_.fields.values():
                if "first" in field.args:
                    assert isinstance(field.args["first"].default_value, int)


def test_arguments_stand_on_roots_and_known_fields_only():
    """Below the roots everything is plain, so that it can be compiled; new exceptions are argued here."""
    found = {
        f"{name}.{field_name}"
        for name, type_ in schema._schema.type_map.items()
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__")
        for field_name, field in type_.fields.items()
        if not field.extensions["strawberry-definition"].is_basic_field
        and name not in ("Query", "Mutation", "Subscription")
    }
    assert found == {"Node.config", "Node.facts", "Node.history", "Node.placeProposal", "Node.why"}
    assert is_leaf_type(schema._schema.type_map["DateTime"])
