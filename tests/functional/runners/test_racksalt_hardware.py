"""The runner for hardware: a plan as Salt's command line hands it over, and who is journalled."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace

import pytest
import salt.config
import salt.loader
from salt.exceptions import CommandExecutionError
from salt.utils.args import yamlify_arg

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import shared_app
from racksalt.conductor.planning import plan_hash
from racksalt.model.node import Bmc
from racksalt.settings import Settings
from racksalt.share import share_dir
from tests.support.sites import a_site

STEP = {
    "component": "bios",
    "from": None,
    "to": "9.0.0",
    "sha256": hashlib.sha256(b"an image").hexdigest(),
    "reboot": True,
}


def an_update_whose_hash_is_a_number():
    """Return the address of an image that makes it so: one plan in two thousand has no letter in its hash."""
    for number in itertools.count():
        url = f"http://images/{number}"
        if plan_hash([{**STEP, "url": url}]).isdecimal():
            return url
    raise AssertionError


@pytest.fixture(scope="module")
def opts(tmp_path_factory):
    """The options of a master whose site wants newer firmware of its only node."""
    folder = tmp_path_factory.mktemp("master")
    (folder / "secrets").mkdir(mode=0o700)
    image = {
        "url": an_update_whose_hash_is_a_number(),
        "version": STEP["to"],
        "sha256": STEP["sha256"],
    }
    firmware = {"baseline": {"bios": STEP["to"]}, "images": {"bios": image}}
    layers = {"global/base.sls": {"racksalt": {"stages": {"firmware": firmware}}}}
    site = a_site(folder, layers=layers)
    settings = Settings(
        database=f"sqlite:///{folder}/racksalt.db", secrets=str(folder / "secrets"), site=str(site)
    )
    write_settings(folder / "racksalt.yaml", settings)
    (folder / "master").write_text(json.dumps({"id": "the-master"}))
    opts = salt.config.master_config(str(folder / "master"))
    opts.update(
        module_dirs=[str(share_dir("salt"))],
        racksalt={"settings": str(folder / "racksalt.yaml")},
    )
    shared_app(opts).operations.declare()
    yield opts
    shared_app(opts).close()


def update(opts, plan=None):
    """Call the runner with what Salt's command line makes of a hash; return the plan."""
    runner = salt.loader.runner(opts)
    given = None if plan is None else yamlify_arg(plan)
    return runner["racksalt_hardware.update_firmware"]("n1", plan=given, dry_run=True)


def test_a_plans_hash_of_digits_is_the_plan(opts):
    """What was printed can be given back, also where Salt makes a number of it."""
    printed = update(opts)["hash"]
    assert isinstance(yamlify_arg(printed), int)
    assert update(opts, printed)["hash"] == printed
    with pytest.raises(CommandExecutionError, match="not 0000000000000012"):
        update(opts, "0000000000000012")


def test_who_asks_is_journalled_as_by_the_other_runners(opts):
    """The local user with the program's name, or the minion that came through peer_run."""

    class Taken:
        def default_logins(self, _bmc):
            return ["root"]

    app = shared_app(opts)
    app.conductor.world = replace(app.conductor.world, logins={"redfish": Taken()})
    with app.store.write() as tx:
        row = {"address": "10.9.0.1", "port": 443, "username": "admin", "secret": "n1"}
        tx.put([Bmc(node="n1", protocol="redfish", **row)])
    for own in ("the-master", "admin1"):
        salt.loader.runner({**opts, "id": own})["racksalt_hardware.security"]("n1")
    actors = [entry.actor for entry in app.store.journal() if "factory" in entry.message]
    assert actors[0].startswith("salt-run ")
    assert actors[1] == "minion admin1"
