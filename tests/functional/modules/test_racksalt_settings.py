"""What the pillar may say to a stage: each key and each kind of value is known, or the stage is refused."""

from __future__ import annotations

import re

import pytest
import yaml
from jinja2 import Environment
from salt.exceptions import CommandExecutionError
from salt.utils.jinja import SerializerExtension

from tests.support import source


@pytest.fixture(scope="module")
def settings(loaded):
    """The module as Salt has it."""
    return loaded.modules.racksalt_settings


WRONG = [
    # A misspelt key.
    ("erase", {"disk": ["SER-2"]}, "erase:disk: no such key; use disks, verify"),
    ("erase", {"serials": ["SER-2"]}, "erase:serials: no such key"),
    ("erase", {"verify": {"sample": 1}}, "verify:sample: no such key; use whole_mib"),
    ("wipe", {"disk": "system"}, "wipe:disk: no such key"),
    ("burn_in", {"cpu": 86400}, "burn_in:cpu: no such key; use cpu_s, memory_mib"),
    ("security", {"checks": ["firmware"]}, "security:checks: no such key; use require, allowed"),
    ("bios", {"VirtTechnology": "Enabled"}, "bios:VirtTechnology: no such key; use settings"),
    ("firmware", {"baselines": {}}, "firmware:baselines: no such key; use baseline, images"),
    ("inventory", {"lldp": 5}, "inventory:lldp: no such key; use lldp_s"),
    ("raid", {"array": []}, "raid:array: no such key; use arrays, overwrite"),
    ("partition", {"disks": {"match": {"media": "ssd"}}}, "disks:match:media: no such key"),
    ("image", {"sources": "os/a/1"}, "image:sources: no such key; use source"),
    ("configure", {"ntp_servers": []}, "configure:ntp_servers: no such key; use users, ntp"),
    ("configure", {"dns": {"server": []}}, "configure:dns:server: no such key"),
    ("configure", {"users": [{"name": "ada", "keys": []}]}, "users:ada:keys: no such key"),
    # Another kind of value.
    ("raid", {"overwrite": "false"}, 'raid:overwrite: "false" is neither true nor false; write it'),
    ("raid", {"arrays": {"name": "data"}}, "raid:arrays: a map is no list"),
    ("raid", {"arrays": [{"level": "raid1", "devices": 2}]}, "raid:arrays:1:name: is missing"),
    ("raid", {"arrays": [None]}, "raid:arrays:1: null is no map"),
    ("partition", {"disks": {"match": {"rotational": "no"}}}, 'match:rotational: "no" is neither'),
    ("partition", {"disks": {"match": {"rotational": None}}}, "match:rotational: null is neither"),
    ("partition", {"disks": {"match": {"min_gb": "500"}}}, 'match:min_gb: "500" is no number'),
    ("partition", {"disks": {"match": {"serial": 12}}}, "serial: 12 (0xc) is no text; put it in"),
    ("partition", {"root_gb": True}, "partition:root_gb: true is no number"),
    ("partition", {"root_gb": float("nan")}, "partition:root_gb: NaN is no number"),
    ("partition", "raid1", 'partition: "raid1" is no map; write its keys below it'),
    ("erase", [], "erase: a list is no map"),
    ("erase", {"verify": {"whole_mib": 0.5}}, "verify:whole_mib: 0.5 is no whole number"),
    ("burn_in", {"cpu_s": -1}, "burn_in:cpu_s: -1 is no number from 0 up"),
    ("burn_in", {"memory_mib": "most"}, '"most" is neither a number nor a share; use'),
    ("security", {"require": ["secureboot"]}, 'require: "secureboot" is nothing to require'),
    ("security", {"allowed": {"bios": [1.1]}}, "allowed:bios: 1.1 is no text; put it in quotes"),
    ("firmware", {"baseline": {"bios": 1.1}}, "baseline:bios: 1.1 is no text; put it in"),
    ("firmware", {"baseline": {"bios": None}}, "baseline:bios: null is no text"),
    ("firmware", {"images": {"bios": {"version": 6.1}}}, "images:bios:version: 6.1 is no text"),
    ("configure", {"ntp": {"servers": []}}, "configure:ntp: a map is no text"),
    ("configure", {"users": [{"name": "ada", "sudo": "false"}]}, 'ada:sudo: "false" is neither'),
    ("configure", {7: "x"}, "configure:7: this key is no text"),
]


@pytest.mark.parametrize(("stage", "said", "told"), WRONG)
def test_what_a_stage_does_not_know_is_refused_by_its_whole_key(settings, stage, said, told):
    """Read otherwise, it would be no wish, or another one: the error says what would be right."""
    with pytest.raises(CommandExecutionError, match=f"^racksalt:stages:.*{re.escape(told)}"):
        settings.checked(stage, said)
    assert settings.problems(stage, said)


def test_everything_that_is_wrong_is_told_at_once(settings):
    """Who mends one mistake does not wait for the next boot to hear of the other."""
    said = {"disk": "system", "verify": {"samples": "64"}}
    assert [key for key, *_ in settings.problems("erase", said)] == [
        "racksalt:stages:erase:disk",
        "racksalt:stages:erase:verify:samples",
    ]


RIGHT = [
    ("erase", {"disks": "all"}),
    ("erase", {"disks": ["0x5000c500a1b2c3d4"], "verify": {"samples": 64}}),
    ("erase", {"disks": None}),
    ("partition", {"disks": {"count": 2, "match": {"rotational": False, "max_gb": 1e3}}}),
    ("partition", {"partitions": [{"name": "root", "size_gb": 40}], "root_gb": None}),
    ("burn_in", {"cpu_s": 0.5, "memory_mib": "75%", "disk_mib": 4, "require_self_test": True}),
    ("bios", {"settings": {"BootMode": "Uefi", "Cores": 8, "Turbo": True}}),
    ("image", {"source": "images/minimal"}),
    ("configure", {"console": None, "kernel_arguments": None, "users": None, "dns": None}),
    ("raid", {"arrays": [{"name": "d", "level": "raid1", "devices": 2, "match": None}]}),
    ("burn_in_gpu", {"cards": "all", "cpu": "every"}),
    ("burn_in_gpu", ["whatever"]),
]


@pytest.mark.parametrize(("stage", "said"), RIGHT)
def test_what_a_stage_knows_is_left_as_it_is(settings, stage, said):
    """So is whatever a site says to a stage of its own, and an empty key where nothing was said."""
    assert settings.checked(stage, said) == said
    assert settings.checked(stage, None) == {}


def test_one_text_is_a_list_of_one(settings):
    """Gone through letter by letter it would be many servers."""
    said = {
        "ntp": "ntp1.example.net",
        "dns": {"servers": "10.0.0.53", "search": ["a.example", "b.example"]},
        "hosts": {"10.0.0.9": "mirror"},
        "users": [{"name": "ada", "ssh_keys": "ssh-ed25519 AAAA"}],
    }
    assert settings.checked("configure", said) == {
        "ntp": ["ntp1.example.net"],
        "dns": {"servers": ["10.0.0.53"], "search": ["a.example", "b.example"]},
        "hosts": {"10.0.0.9": ["mirror"]},
        "users": [{"name": "ada", "ssh_keys": ["ssh-ed25519 AAAA"]}],
    }
    allowed = {"require": "firmware", "allowed": {"bios": "1.10"}}
    assert settings.checked("security", allowed) == {
        "require": ["firmware"],
        "allowed": {"bios": ["1.10"]},
    }


def test_no_password_is_told(settings):
    """What stands where a hash belongs may be a password."""
    said = {"users": [{"name": "ada", "password_hash": 987654}]}
    with pytest.raises(CommandExecutionError, match="ada:password_hash: it is no text") as error:
        settings.checked("configure", said)
    assert "987654" not in str(error.value)


def test_every_built_in_stage_is_in_the_table():
    """A stage that is not there would take whatever it is told."""
    stages = {path.stem for path in source.under("states/stages", suffix=".sls")}
    table = source.text(source.Path("salt/_modules/racksalt_settings.py"))
    assert {
        stage for stage in stages if not re.search(rf'^    "{stage}": ', table, re.MULTILINE)
    } == set()


CASES = [
    ("inventory", {"lldp": 5}),
    ("firmware", {"baselines": {"bios": "2.0"}}),
    ("bios", {"VirtTechnology": "Enabled"}),
    ("raid", {"overwrite": "false"}),
    ("burn_in", {"cpu": 86400}),
    ("security", {"checks": ["secure_boot"]}),
    ("partition", {"rais": "raid1"}),
    ("image", {"sauce": "images/minimal"}),
    ("configure", {"users": [{"nam": "ada"}]}),
    ("erase", {"disk": ["SER-2"]}),
    ("wipe", {"disk": ["SER-2"]}),
    ("wipe", ["SER-2"]),
    ("firmware", "2.0"),
]


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize(("stage", "said"), CASES)
def test_each_stage_refuses_before_it_does_anything(node, stage, said, test):
    """From the pillar through the stage's SLS to its state, in test mode, too; the disk keeps what it had."""
    (node.disk / "old").write_text("data")
    pillar = {"racksalt": {"stages": {stage: said}}}
    states = node.modules.state.apply(f"stages.{stage}", pillar=pillar, test=test).raw
    (found,) = [one for one in states.values() if one["__id__"] == stage]
    assert (found["result"], found["changes"]) == (False, {})
    assert found["comment"].startswith(f"racksalt:stages:{stage}")
    if stage not in ("image", "configure"):  # these partition first
        assert (node.disk / "old").read_text() == "data"


NEWER = {"inventory", "firmware", "bios", "raid", "security", "wipe"}


@pytest.mark.parametrize("stage", sorted(NEWER))
@pytest.mark.parametrize("knows", [True, False])
def test_a_live_image_that_was_built_before_gets_no_argument_that_it_refuses(stage, knows):
    """Salt calls no state with an argument that its module does not have: every node would park until a new image."""
    calls = {"pillar.get": lambda _key, default: default}
    calls |= {"racksalt_settings.checked": None} if knows else {}
    text = source.text(source.Path(f"states/stages/{stage}.sls"))
    rendered = Environment(extensions=[SerializerExtension]).from_string(text).render(salt=calls)
    (state,) = yaml.safe_load(rendered)[stage].values()
    given = {name for argument in state for name in argument}
    assert bool(given & {"wanted", "stage"}) is knows
    assert given - {"wanted", "stage"}
