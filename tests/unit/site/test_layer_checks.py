from __future__ import annotations

from racksalt.model.place import Rack
from racksalt.site.layer_checks import check_owners, check_together, check_values
from racksalt.site.layers import REMOVE, Layer, Origin
from racksalt.site.schema import Declarations


def keys(values: dict) -> list[tuple[str, str]]:
    """Return severity and key of each problem in a file's values."""
    return [(it.severity, it.key) for it in check_values("rack/r1.sls", values)]


def test_sound_values_have_no_problem():
    """Removals, references and encrypted values are as they should be."""
    pgp = "-----BEGIN PGP MESSAGE-----\n…"
    assert not keys({"a": REMOVE, "token": "sdb://a/b", "psk": pgp, "x": {"password": REMOVE}})


def test_a_nodes_own_facts_cannot_be_set():
    """What the store knows of a node is not for a file to say; what stages read is."""
    own = {"state": "ready", "roles": [], "stages": {"burn_in": {"cpu_s": 60}}}
    assert keys({"racksalt": own}) == [("error", "racksalt:state"), ("error", "racksalt:roles")]
    assert keys({"racksalt": REMOVE}) == [("error", "racksalt")]


def test_a_removal_in_a_list_is_reported():
    """Lists replace as a whole, so a removal in one would only be odd text."""
    assert keys({"a": {"b": [1, REMOVE]}, "c": [{"d": REMOVE}]}) == [
        ("error", "a:b"),
        ("error", "c"),
    ]


def test_a_secret_in_plain_text_is_a_warning():
    """It works, and it should not be in git."""
    assert keys({"mail": {"password": "hunter2"}}) == [("warning", "mail:password")]
    assert keys({"rootpassword": "hunter3"}) == [("warning", "rootpassword")]
    urls = {"db": "postgresql://u:hunter4@h/db", "mirrors": ["http://u:hunter5@h", "http://h:80/"]}
    assert keys(urls) == [("warning", "db"), ("warning", "mirrors")]
    assert not keys({"db": "postgresql://u@h:5432/db", "mirrors": ["http://h:3142/a@b"]})


def overlaps(one: dict, other: dict) -> list[str]:
    """Return the keys that two files of the global layer both set."""
    files = [Layer(Origin("global", f"global/{n}.sls"), v) for n, v in enumerate((one, other))]
    return [it.key for it in check_together(files)]


def test_files_of_one_layer_may_share_maps_and_no_values():
    """Which of two files wins must never depend on their names."""
    assert overlaps({"ntp": {"servers": []}}, {"ntp": {"step_s": 1}}) == []
    assert overlaps({"ntp": {"servers": []}}, {"ntp": {"servers": []}}) == ["ntp:servers"]
    assert overlaps({"ntp": {"servers": []}}, {"ntp": 1}) == ["ntp"]
    assert overlaps({"ntp": REMOVE}, {"ntp": {"servers": []}}) == ["ntp:servers"]
    assert overlaps({"ntp": {}}, {"ntp": {}}) == []


def test_a_layer_of_nobody_is_a_warning_where_somebody_is_declared():
    """A typing error in a file's name is told, with what it may have meant."""
    declared = Declarations(racks={"rack1": Rack(name="rack1", zone="z1")})
    found = list(check_owners(["rack/rack1.sls", "rack/rak1.sls", "zone/z9.sls"], declared))
    assert [(it.file, it.severity, it.hint) for it in found] == [
        ("rack/rak1.sls", "warning", "did you mean rack1?")
    ]
