"""What the lab changes in Salt does what it says."""

from __future__ import annotations

import asyncio

import pytest
import salt.crypt
from salt.utils import entrypoints

from racksalt.lab.salt_patches import keep_entry_points, shield_sign_in


def test_packages_are_read_once_and_the_answer_is_the_same(monkeypatch):
    """However long a process of the lab runs, it reads no package's metadata a second time."""
    usual = entrypoints.iter_entry_points("salt.loader")
    monkeypatch.setattr(entrypoints, "iter_entry_points", entrypoints.iter_entry_points)
    keep_entry_points()
    monkeypatch.setattr(entrypoints, "importlib_metadata", None)
    assert entrypoints.iter_entry_points("salt.loader") == usual
    assert any(one.value.startswith("racksalt") for one in usual)


@pytest.mark.parametrize("patched", [True, False])
def test_who_gives_up_waiting_cancels_the_sign_in_of_nobody_else(monkeypatch, patched):
    """Without the patch it does: when Salt has mended that, the patch can go."""
    monkeypatch.setattr(salt.crypt.AsyncAuth, "authenticate", salt.crypt.AsyncAuth.authenticate)
    if patched:
        shield_sign_in()

    async def signing_in():
        auth = object.__new__(salt.crypt.AsyncAuth)
        auth.io_loop = asyncio.get_running_loop()
        master_is_back = asyncio.Event()

        async def sign_in():
            await master_is_back.wait()
            auth._authenticate_future.set_result(True)

        auth._authenticate = sign_in
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(auth.authenticate(), 0.01)
        master_is_back.set()
        return not auth._authenticate_future.cancelled() and await auth.authenticate()

    assert asyncio.run(signing_in()) is patched
