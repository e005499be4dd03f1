"""Random GraphQL documents over a schema: aliases, fragments, merged fields, @skip/@include, __typename."""

from __future__ import annotations

import random

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

KEPT_PLAIN = {"config": 'path: "timezone"', "history": "first: 3"}
SWITCHES = ("yes", "no")


class Author:
    """Writes documents. ``slow`` lets it use fields that need the database too."""

    def __init__(self, schema, seed, *, slow=False):
        self.schema = schema
        self.dice = random.Random(seed)
        self.slow = slow
        self.fragments = []
        self.used = set()

    def document(self):
        """Return (document, variables) with at least one field."""
        self.fragments, self.used = [], set()
        body = self.roots()
        declared = " ".join(f"${name}: Boolean!" for name in SWITCHES if name in self.used)
        head = f"query Q({declared})" if declared else "query Q"
        text = f"{head} {{ {body} }} " + " ".join(self.fragments)
        values = {name: self.dice.random() < 0.5 for name in SWITCHES if name in self.used}
        return text, values

    def roots(self):
        """Return one to three root fields."""
        roots = (
            ("zones", "zones", "Zone"),
            ("networks", "networks", "Network"),
            ("racks", "racks(first: 10)", "RackConnection"),
            ("nodes", "nodes(first: 10)", "NodeConnection"),
            ("node", 'node(by: {id: "n1"})', "Node"),
            ("none", 'node(by: {id: "x"})', "Node"),
        )
        chosen = self.dice.sample(roots, self.dice.randint(1, 3))
        return " ".join(
            f"{alias}: {call} {{ {self.selection(self.schema.type_map[name], 3)} }}"
            for alias, call, name in chosen
        )

    def selection(self, type_, depth):
        """Return a selection of ``type_`` that holds no conflict: an alias always means one and the same field."""
        parts = ["__typename"] if self.dice.random() < 0.2 else []
        fields = [(name, field) for name, field in type_.fields.items() if self.usable(name, field)]
        for name, field in self.dice.sample(fields, min(len(fields), self.dice.randint(1, 4))):
            parts.append(self.field(name, field, depth))
            if self.dice.random() < 0.15:
                parts.append(self.field(name, field, depth))
        parts = [part for part in parts if part] or ["__typename"]
        if self.dice.random() < 0.2:
            parts.append(self.fragment(type_, depth))
        if self.dice.random() < 0.1:
            parts.append(f"... on {type_.name} {self.switch()} {{ {parts[0]} }}")
        return " ".join(parts)

    def usable(self, name, field):
        """Whether a field may be used: those with resolvers only where they are wanted."""
        if name in ("why", "config", "history"):
            return self.slow and name in KEPT_PLAIN
        return not any(is_required_argument(argument) for argument in field.args.values())

    def field(self, name, field, depth):
        """Return a field, with its sub-selection if it has one; nothing when there is no depth left for it."""
        named = get_named_type(field.type)
        arguments = f"({KEPT_PLAIN[name]})" if name in KEPT_PLAIN else ""
        alias = f"a_{name}: " if self.dice.random() < 0.2 else ""
        if is_leaf_type(named):
            return f"{alias}{name}{arguments} {self.switch()}"
        assert isinstance(named, (GraphQLObjectType, GraphQLInterfaceType))
        if depth == 0:
            return ""
        inner = self.selection(named, depth - 1)
        return f"{alias}{name}{arguments} {self.switch()} {{ {inner} }}"

    def fragment(self, type_, depth):
        """Return a spread of a new fragment on ``type_``."""
        name = f"F{len(self.fragments)}"
        self.fragments.append("")
        place = len(self.fragments) - 1
        body = self.selection(type_, max(0, depth - 1))
        self.fragments[place] = f"fragment {name} on {type_.name} {{ {body} }}"
        return f"...{name} {self.switch()}"

    def switch(self):
        """Return a condition, or nothing mostly."""
        if self.dice.random() > 0.12:
            return ""
        name = self.dice.choice(SWITCHES)
        value = self.dice.choice((f"${name}", "true", "false"))
        if value.startswith("$"):
            self.used.add(name)
        return f"@{self.dice.choice(('skip', 'include'))}(if: {value})"
