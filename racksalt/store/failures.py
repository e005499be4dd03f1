"""What a failed statement means: trouble with the database, or with what was to be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    StatementError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)

from racksalt.model.errors import ConflictError, InvalidInputError, StoreError


@contextmanager
def told(what: str, hint: str) -> Iterator[None]:
    """Turn the errors of the driver into ours.

    Raises:
        StoreError: no connection, no space, no such table: the same may work later.
        ConflictError: a row contradicts another one; it will not work later either.
        InvalidInputError: a value does not fit its column; it will not work later either.
    """
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(
            f"{what}: {error.orig}", "another row has it already; nothing was written"
        ) from error
    except DataError as error:
        raise InvalidInputError(
            f"{what}: {error.orig}", "a value does not fit; nothing was written"
        ) from error
    except DBAPIError as error:
        raise StoreError(f"{what}: {error.orig}", hint) from error
    except PoolTimeoutError as error:
        raise StoreError(f"{what}: no connection is free", hint) from error
    except StatementError as error:
        raise InvalidInputError(
            f"{what}: {error.orig}", "a value cannot be written; nothing was written"
        ) from error
