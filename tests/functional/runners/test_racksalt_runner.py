"""The runner: arguments as ``salt-run`` gives them, answers that JSON can carry, errors in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import salt.config
import salt.loader
from salt.exceptions import CommandExecutionError
from salt.utils.args import yamlify_arg

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import shared_app
from racksalt.settings import Settings
from racksalt.share import share_dir
from tests.support import reinstall
from tests.support.sites import a_site

POLICY = {"approve": "manifest", "goal": "ready"}


@pytest.fixture(scope="module")
def opts(tmp_path_factory):
    """The options of a master with a site of five nodes."""
    folder = tmp_path_factory.mktemp("master")
    (folder / "secrets").mkdir(mode=0o700)
    site = a_site(
        folder,
        nodes=["n1", "n2", "n3", "n4", "n5"],
        layers={"global/base.sls": {"ntp": "a"}},
        policy=POLICY,
    )
    settings = Settings(
        database=f"sqlite:///{folder}/racksalt.db", secrets=str(folder / "secrets"), site=str(site)
    )
    write_settings(folder / "racksalt.yaml", settings)
    (folder / "etc").mkdir()
    (folder / "etc/master").write_text(json.dumps({"id": "the-master"}))
    opts = salt.config.master_config(str(folder / "etc/master"))
    opts.update(
        cachedir=str(folder / "cache"),
        pki_dir=str(folder / "pki"),
        sock_dir=str(folder / "sock"),
        module_dirs=[str(share_dir("salt"))],
        racksalt={"settings": str(folder / "racksalt.yaml")},
    )
    yield opts
    shared_app(opts).close()


@pytest.fixture(scope="module")
def run(opts):
    """Call the runner as ``salt-run racksalt.<verb>`` does."""
    loader = salt.loader.runner(opts)

    def call(verb, *args, **kwargs):
        answer = loader[f"racksalt.{verb}"](*args, **kwargs)
        assert json.loads(json.dumps(answer)) == answer
        return answer

    call("declare")
    return call


def test_every_verb_is_there(opts):
    """The operator's verbs are the runner's functions, and no helper shows."""
    found = {n.split(".")[1] for n in salt.loader.runner(opts) if n.startswith("racksalt.")}
    assert found == {
        *("list", "show", "why", "history", "approve", "commission", "install", "reinstall"),
        *(
            "release",
            "retire",
            "recover",
            "forget",
            "power",
            "token_create",
            "token_revoke",
            "token_list",
        ),
        *("explain", "impact", "declare", "present", "desire", "enroll", "hint"),
    }


def test_declaring_twice_changes_nothing(run):
    """What the site's files say is in the store already."""
    assert run("declare", test=True) == {"changes": {}}


def test_list_is_by_node_and_can_be_narrowed(run):
    """The whole site, or a state of it."""
    assert set(run("list")) >= {"n1", "n2", "n3"}
    assert run("list", state="retired") == {}


def test_a_dry_run_plans_and_changes_nothing(run):
    """The plan has a hash; the state stays."""
    answer = run("commission", "n1", goal="ready", dry_run=True)
    assert answer["plan"]["hash"]
    assert answer["accepted"] == []
    assert run("show", "n1")["state"] == "declared"


def test_a_reinstalls_dry_run_lists_all_that_it_would_do_and_does_nothing(opts, run):
    """Transitions, reboots and disks as the other doors tell them; the database keeps every row as it was."""
    app = shared_app(opts)
    reinstall.make_ready(app, "n5")
    before = reinstall.everything(app.store)
    assert run("reinstall", "n5", dry_run=True) == {
        "command": "reinstall",
        "dry_run": True,
        "accepted": [],
        "refused": [],
        "plan": reinstall.the_plan("n5"),
    }
    assert reinstall.everything(app.store) == before
    assert run("show", "n5")["state"] == "ready"


def test_a_command_is_journalled_with_who_gave_it(run):
    """The actor is the local user; the history has it first."""
    assert run("approve", "n2,n3")["refused"] == []
    entry = run("history", "n2", limit=1)["entries"][0]
    assert entry["event"] == "approve"
    assert entry["actor"].startswith("salt-run ")


def test_a_minion_that_asks_is_the_actor(opts, run):
    """Through peer_run Salt gives the minion's own id; it cannot pass for the operator."""
    asked = salt.loader.runner({**opts, "id": "admin1"})
    asked["racksalt.approve"]("n2")
    assert run("history", "n2", limit=1)["entries"][0]["actor"] == "minion admin1"


def test_a_plans_hash_of_digits_is_what_was_printed(run):
    """Salt's command line makes a number of it, and drops the zeros that it began with."""
    given = yamlify_arg("0123456701234567")
    assert given == 123456701234567
    with pytest.raises(CommandExecutionError, match="not 0123456701234567"):
        run("retire", "n2", plan=given)


def test_what_the_state_does_not_accept_is_refused_with_what_it_would(run):
    """A refusal names node, code and the legal events."""
    (refused,) = run("recover", "n2")["refused"]
    assert refused["node"] == "n2"
    assert refused["code"] == "illegal_event"
    assert "approve" in refused["legal"]


@pytest.mark.parametrize(
    ("verb", "args", "kwargs", "told"),
    [
        ("show", ["nobody"], {}, "nobody"),
        ("approve", [], {}, "name the nodes"),
        ("retire", [yamlify_arg("1.10")], {}, r"1\.1 is no name"),
        ("retire", ["n1", yamlify_arg("off")], {}, "False is no name"),
        ("show", [yamlify_arg("null")], {}, "None is no name"),
        ("desire", ["n1,n2", "retired"], {}, "'n1,n2' is not one name"),
        ("list", [], {"rack": False}, "False is no name"),
        ("approve", ["n1"], {"force": True}, "force"),
        ("commission", ["n1"], {"goal": "retired"}, "goal"),
        ("power", ["up", "n1"], {}, "power_up"),
        ("present", ["cats", "tom"], {}, "cats"),
        ("desire", ["n1", "gone"], {}, "gone"),
    ],
)
def test_mistakes_are_told_in_words(run, verb, args, kwargs, told):
    """An error says what was wrong; there is no trace back."""
    with pytest.raises(CommandExecutionError, match=told):
        run(verb, *args, **kwargs)


def test_a_name_in_a_list_is_what_was_written(run):
    """Read as YAML twice, as a master reads what a minion asks; a number of digits alone is the name that it was."""
    given = yamlify_arg(yamlify_arg('["1.10"]'))
    with pytest.raises(CommandExecutionError, match=r"node '1.10' is unknown"):
        run("show", given)
    with pytest.raises(CommandExecutionError, match="node '1001' is unknown"):
        run("why", yamlify_arg("1001"))


def test_power_status_tells_what_was_last_seen(run):
    """Salt's command line turns on and off into truth values; status stays a word."""
    assert run("power", "status", "n1", "n2") == {"n1": "unknown", "n2": "unknown"}
    assert run("power", True, "n1", dry_run=True)["command"] == "power_on"
    assert run("power", False, "n1", dry_run=True)["command"] == "power_off"


def test_a_tokens_secret_is_in_a_file_and_in_no_answer(run):
    """Salt keeps what runners return in its job cache, and tells it on the bus; a revoked token is listed as such."""
    made = run("token_create", "dashboard", "topology:read", expires_in_s=60)
    file = Path(made["secret_file"])
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    secret = file.read_text().strip()
    assert secret.startswith("rsk_")
    assert secret not in json.dumps([made, run("token_list")])
    run("token_revoke", made["id"])


def test_a_token_whose_secret_cannot_be_kept_is_none(run):
    """Nobody would know it, and it would be good all the same."""
    kept = Path(run("token_create", "a", "topology:read")["secret_file"]).parent
    shutil.rmtree(kept)
    kept.touch()
    with pytest.raises(CommandExecutionError, match="was revoked"):
        run("token_create", "b", "topology:read")
    assert [one["name"] for one in run("token_list")["tokens"] if one["revoked_at"] is None] == [
        "a"
    ]


def test_explain_and_impact_tell_of_layers(run):
    """Which layer won, and whom a file touches."""
    assert run("explain", "n1", "ntp")["value"] == "a"
    assert "n1" in json.dumps(run("impact", "pillar/global/base.sls"))


def test_a_rack_and_a_node_can_be_declared_one_by_one(run):
    """Test mode tells, the call does, the second call changes nothing."""
    assert run("present", "racks", "r9", {"zone": "z1"}, test=True)["changes"]
    assert run("present", "racks", "r9", {"zone": "z1"})["changes"]
    assert run("present", "racks", "r9", {"zone": "z1"})["changes"] == {}
    fields = {"rack": "r9", "position_u": 4, "serial": "S9"}
    assert run("present", "nodes", "n9", fields, test=True)["changes"]
    assert "n9" not in run("list")
    assert run("present", "nodes", "n9", fields)["changes"]
    assert run("present", "nodes", "n9", fields)["changes"] == {}
    assert run("show", "n9")["rack"] == "r9"


def test_a_network_can_be_declared_and_must_fit_to_the_others(run):
    """With its ranges; one that shares addresses or a VLAN with another is refused, and the other one stays."""
    ranges = {"nodes": {"first": "10.77.0.10", "last": "10.77.0.99", "use": "reservations"}}
    fields = {"purpose": "storage", "vlan": 77, "cidr_v4": "10.77.0.0/24", "ranges": ranges}
    assert run("present", "networks", "n77", fields)["changes"] == {"networks": ["n77"]}
    assert run("present", "networks", "n77", fields)["changes"] == {}
    fields["ranges"]["nodes"]["last"] = "10.78.0.1"
    with pytest.raises(CommandExecutionError, match=r"ranges:nodes:last: 10\.78\.0\.1 is not in"):
        run("present", "networks", "n77", fields)
    with pytest.raises(CommandExecutionError, match=r"overlaps 10\.77\.0\.0/24 of n77"):
        run("present", "networks", "n78", {"cidr_v4": "10.77.0.128/25"})
    with pytest.raises(CommandExecutionError, match="vlan: 77 is"):
        run("present", "networks", "n79", {"vlan": 77})
    with pytest.raises(CommandExecutionError, match="no conduit 'fast'"):
        run("present", "networks", "n79", {"conduit": "fast"})


def test_a_node_in_a_rack_that_is_not_there_is_refused(run):
    """The declaration makes no sense, so nothing is written."""
    with pytest.raises(CommandExecutionError, match="r77"):
        run("present", "nodes", "n77", {"rack": "r77"})
    assert "n77" not in run("list")


def test_desire_gives_the_command_that_leads_there_once(run):
    """A node on its way is left alone; test mode only tells."""
    told = run("desire", "n4", "ready", test=True)
    assert told["result"] is None
    assert told["changes"]["command"] == "commission"
    assert run("show", "n4")["state"] == "declared"
    assert run("desire", "n4", "ready")["result"] is True
    again = run("desire", "n4", "ready")
    assert (again["result"], again["changes"]) == (True, {})
    assert "on its way" in again["comment"]


def test_a_reactors_hint_is_journalled_once_whoever_brings_it(opts, run):
    """The same bus event through reactor and engine is one inbox entry."""
    payload = {"id": "n1", "data": {"event_id": "7"}}
    tag = "racksalt/node/n1/event/moved"
    assert run("hint", tag, payload) == {"taken": True, "node": "n1"}
    assert run("hint", tag, payload) == {"taken": True, "node": "n1"}
    rows = shared_app(opts).store.rows("inbox")
    assert [row["event_id"] for row in rows].count("bus:n1:7") == 1
    assert run("hint", "salt/job/1/new", {}) == {"taken": False}


def test_enrolling_without_a_waiting_key_does_nothing(run):
    """The key store decides, not who calls."""
    assert run("enroll", "n1") == {"node": "n1", "waiting": 0, "answers": []}
