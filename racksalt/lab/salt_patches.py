"""Two places where the lab does not leave Salt as it is: one for speed, one for a fault that would hang a minion.

Real masters and minions run without them. What the second one is for, `keep-minion` heals in racksalt's images: it
starts a minion again that is not signed in.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from salt.utils import entrypoints


def keep_entry_points() -> None:
    """Let Salt, in this process and in those that it forks, keep what the installed packages offer to its loader.

    Salt reads the metadata of every package again whenever half a second has passed (``salt.utils.entrypoints``): in
    an environment for development, a fifth of what minions and their master compute. In the lab no package changes.
    """
    entrypoints.iter_entry_points = functools.cache(entrypoints.iter_entry_points)
    entrypoints.iter_entry_points("salt.loader")


def shield_sign_in() -> None:
    """Let nobody who waits for a minion's sign-in cancel it for the others.

    In Salt 3008 all who need the master wait for one future (``AsyncAuth.authenticate``). Where one of them gives up
    while the master is away, it cancels that future: the sign-in ends in "invalid state", and the minion, which has
    closed its channels by then, never connects again.
    """
    from salt.crypt import AsyncAuth

    usual = AsyncAuth.authenticate

    @functools.wraps(usual)
    def authenticate(self: Any, callback: Any = None) -> Any:
        return asyncio.shield(usual(self, callback))

    AsyncAuth.authenticate = authenticate
