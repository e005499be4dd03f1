"""Answers subtrees of plain attributes with one generated comprehension; all else is graphql-core's."""
