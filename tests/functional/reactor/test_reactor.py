"""A reaction only hands over: event in, exactly these runner calls out."""

from __future__ import annotations

import pytest
import salt.config
import salt.loader
import salt.template

from racksalt.share import share_dir

TAG_AUTH, TAG_START = "salt/auth", "salt/minion/n1/start"


@pytest.fixture(scope="module")
def react(tmp_path_factory):
    """Render a reactor SLS as Salt's reactor does."""
    opts = salt.config.master_config(None)
    opts.update(cachedir=str(tmp_path_factory.mktemp("cache")), file_roots={"base": []})
    renderers = salt.loader.render(opts, {})

    def render(name, tag, data):
        return salt.template.compile_template(
            str(share_dir("salt") / "reactor" / f"{name}.sls"),
            renderers,
            opts["renderer"],
            opts["renderer_blacklist"],
            opts["renderer_whitelist"],
            tag=tag,
            data=data,
        )

    return render


def auth(act="pend", **changes):
    """Return a payload of ``salt/auth``."""
    payload = {"id": "n1", "pub": "-----BEGIN\nMII: {{ x }}\n-----END", "act": act}
    return {**payload, "autosign_grains": {"racksalt_proof": "a" * 64}, **changes}


def test_a_key_with_a_proof_is_handed_to_the_runner(react):
    """The whole event goes over, whatever characters it has; the runner decides."""
    data = auth("pend")
    assert react("auth", TAG_AUTH, data) == {
        "racksalt_enroll": {"runner.racksalt.hint": [{"args": [{"tag": TAG_AUTH}, {"data": data}]}]}
    }


@pytest.mark.parametrize(
    "data",
    [
        auth("accept"),
        auth("reject"),
        auth("denied"),
        auth(autosign_grains={}),
        auth(autosign_grains={"racksalt_proof": "a"}),
        auth(autosign_grains={"racksalt_proof": 7}),
        {"id": "n1", "act": "pend"},
        {},
    ],
)
def test_other_sign_ins_cost_no_runner(react, data):
    """A flood of keys without a proof starts nothing."""
    assert not react("auth", TAG_AUTH, data)


def test_a_minion_start_is_handed_to_the_runner(react):
    """It is a hint like any other."""
    data = {"id": "n1", "data": "started", "_stamp": "1"}
    assert react("minion_start", TAG_START, data) == {
        "racksalt_minion_started": {
            "runner.racksalt.hint": [{"args": [{"tag": TAG_START}, {"data": data}]}]
        }
    }


@pytest.mark.parametrize("data", [{"id": "n2", "data": "started"}, {"id": "n1/start/x"}, {}])
def test_a_start_that_another_minion_tells_of_costs_no_runner(react, data):
    """The master writes the sender's id into what a minion fires; the tag is the minion's choice."""
    assert not react("minion_start", TAG_START, data)
