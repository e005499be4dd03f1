"""What the ``racksalt`` runner does beyond the operations: it takes hints in, and knows who asks."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import salt.config

from racksalt.adapters.salt_hints import hint_of
from racksalt.adapters.salt_host import Inbox
from racksalt.adapters.salt_keys import SaltKeys
from racksalt.adapters.secret_files import write_once
from racksalt.model.errors import InvalidInputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from racksalt.adapters.salt_client import Opts
    from racksalt.conductor import Conductor
    from racksalt.conductor.operations import Operations
    from racksalt.store import Store


def actor(opts: Opts) -> str:
    """Return who runs a runner: the minion that came through ``peer_run``, else the local user.

    Salt puts the minion's authenticated id in the place of the master's own id.
    """
    own = str(salt.config.master_config(opts["conf_file"])["id"])
    asks = str(opts["id"])
    return f"salt-run {getpass.getuser()}" if asks == own else f"minion {asks}"


def plan_text(given: object) -> str | None:
    """Return the hash of a plan as it was printed.

    Salt's command line reads YAML: a hash that happens to have decimal digits alone comes as a number, without the
    zeros that it began with.
    """
    if given is None:
        return None
    return f"{given:016d}" if isinstance(given, int) else str(given)


def names(given: Sequence[object], nobody: str = "") -> list[str]:
    """Return names as they were written, from words with commas and from lists.

    Salt's command line, and its master for what a minion asks, read words as YAML: ``1.10`` comes as 1.1, ``off`` as
    False. What is in a list is not read a second time.

    Raises:
        InvalidInputError: one came as something that may have been another name; or there is none, and ``nobody`` says
            what is missing.
    """
    words = [word for one in given for word in (one if isinstance(one, list) else [one])]
    for word in words:
        if isinstance(word, bool | float) or not isinstance(word, str | int):
            raise InvalidInputError(
                f"{word!r} is no name: Salt reads some words as numbers or truth values",
                """write it in a list: '["1.10"]'""",
            )
    found = [name.strip() for word in words for name in str(word).split(",") if name.strip()]
    if nobody and not found:
        raise InvalidInputError(nobody)
    return found


def name(given: object) -> str:
    """Return the one name that was given.

    Raises:
        InvalidInputError: it is none, or several.
    """
    found = names([given])
    if len(found) != 1:
        raise InvalidInputError(f"{given!r} is not one name", "name one")
    return found[0]


def command_options(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command, those that were not given as they are by default.

    Raises:
        InvalidInputError: one is unknown.
    """
    known = {"dry_run": False, "plan": None, "goal": None, "request": None}
    options = {key: value for key, value in given.items() if not key.startswith("__")}
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        told = f"{verb}: unknown {', '.join(unknown)}"
        raise InvalidInputError(told, f"it takes {', '.join(known)}")
    return {**known, **options, "plan": plan_text(options.get("plan"))}


def create_token(
    operations: Operations, folder: str, name: str, scopes: list[str], expires_in_s: float, by: str
) -> dict[str, Any]:
    """Make a token; its secret goes into a file of its own below ``folder``, which the answer names.

    What a runner returns is stored in Salt's job cache and told on the master's event bus.

    Raises:
        SettingsError: the file cannot be written; the token was revoked.
    """
    made = operations.token_create(name, scopes, expires_in_s, by)
    file = Path(folder) / "tokens" / str(made["id"])
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_once(file, f"{made.pop('secret')}\n".encode())
    except OSError as error:
        operations.token_revoke(made["id"])
        raise SettingsError(
            f"{file}: {error.strerror}; token {made['id']} was revoked",
            "racksalt must own its secrets folder",
        ) from None
    return {**made, "secret_file": str(file)}


def take_hint(
    store: Store, conductor: Conductor, opts: Opts, tag: str, payload: dict[str, Any]
) -> dict[str, Any]:
    """Take in one bus event that a reactor handed over; the same event that the engine read counts once.

    The event only names the node: what is checked is the key in the master's key store.
    """
    hint = hint_of(tag, payload, time.time())
    if hint is None:
        return {"taken": False}
    keys = SaltKeys(opts)
    Inbox(store, conductor, keys)([hint])
    if hint.kind == "proof":
        waiting = [key for key in keys.get(hint.node) if not key.accepted]
        found = conductor.check.events(waiting, of=[hint.node])
        conductor.handle(conductor.check.refusals.few(found))
    return {"taken": True, "node": hint.node}


def check_keys(conductor: Conductor, opts: Opts, node: str) -> dict[str, Any]:
    """Check the node's waiting keys against the proofs that were seen; the answers are journalled."""
    waiting = [key for key in SaltKeys(opts).get(node) if not key.accepted]
    events = conductor.check.events(waiting, of=[node])
    outcomes = conductor.handle(events)
    return {
        "node": node,
        "waiting": len(waiting),
        "answers": [event.name for event in events][: len(outcomes)],
    }
