from __future__ import annotations

import os
import threading

import pytest

from racksalt.adapters.site_files import (
    SiteFolder,
    check,
    copy_site,
    open_site,
    read_values,
    write_site,
)
from racksalt.model.errors import InvalidInputError, RacksaltError
from racksalt.share import share_dir
from racksalt.site.schema import Place
from racksalt.site.site import Site
from tests.support.sites import SITE, a_site

N1 = Place("n1", "r1", "z1")


def values(site: Site) -> dict:
    """Return the effective values of node n1."""
    return dict(site.effective(*N1).values)


def told(folder, severity="error") -> list[str]:
    """Return ``file: key: message`` of each problem of a folder."""
    found = [it for it in check(folder) if it.severity == severity]
    return [f"{it.file}: {it.key}: {it.message}" for it in found]


def test_a_node_gets_the_layers_of_its_place(tmp_path):
    """Global files, then its zone's, its rack's and its own; no one else's."""
    layers = {
        "global/a.sls": {"from": "global", "a": 1},
        "global/b.sls": {"b": 2},
        "zone/z1.sls": {"from": "zone"},
        "rack/r1.sls": {"from": "rack"},
        "rack/r2.sls": {"from": "other"},
        "node/n1.sls": {"own": True},
    }
    site = open_site(a_site(tmp_path, racks=("r1", "r2"), layers=layers))
    assert values(site) == {"from": "rack", "a": 1, "b": 2, "own": True}
    assert str(site.effective(*N1).sources["from"]) == "rack:r1 (rack/r1.sls)"
    assert site.effective("n9", None, None).values == {"from": "global", "a": 1, "b": 2}


def test_an_edit_is_seen_at_once(tmp_path):
    """Also one within the same tick of the file system's clock, of the same length."""
    folder = a_site(tmp_path, layers={"rack/r1.sls": {"a": 1}})
    site = open_site(folder)
    status = (folder / "rack/r1.sls").stat()
    for number in range(2, 7):
        write_site(folder, {"rack/r1.sls": {"a": number}})
        os.utime(folder / "rack/r1.sls", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert values(site) == {"a": number}
    (folder / "rack/r1.sls").unlink()
    assert values(site) == {}
    write_site(folder, {"node/n1.sls": {"b": 1}})
    assert values(site) == {"b": 1}


def test_an_unchanged_file_is_read_once(tmp_path):
    """Once a file is old enough to tell its edits apart, only its time stamp is looked at."""
    folder = a_site(tmp_path, layers={"rack/r1.sls": {"a": 1}})
    os.utime(folder / "rack/r1.sls", (1, 1))
    source = SiteFolder(folder)
    first = source.layers(N1)
    (folder / "rack/r1.sls").write_bytes(b"a: 2\n")
    os.utime(folder / "rack/r1.sls", (1, 1))
    assert source.layers(N1) == first, "same inode, size and time stamp: not read again"
    os.utime(folder / "rack/r1.sls", (2, 2))
    assert source.layers(N1)[0].values == {"a": 2}


def test_a_broken_edit_changes_nothing_and_is_told(tmp_path):
    """What a layer last said holds until the file is mended."""
    folder = a_site(tmp_path, layers={"rack/r1.sls": {"a": 1}})
    site = open_site(folder)
    assert site.problems() == []
    (folder / "rack/r1.sls").write_text("a: [1\n")
    assert values(site) == {"a": 1}
    assert [it.file for it in site.problems()] == ["rack/r1.sls"]
    (folder / "rack/r1.sls").write_text("a: 3\n")
    assert values(site) == {"a": 3}
    assert site.problems() == []


def test_a_broken_declaration_changes_nothing_and_is_told(tmp_path):
    """Neither bad YAML nor nonsense replaces what was declared."""
    folder = a_site(tmp_path)
    site = open_site(folder)
    before = site.declarations
    good = (folder / SITE).read_text()
    for bad in ("zones: [z1\n", good.replace("rack: r1", "rack: r9")):
        (folder / SITE).write_text(bad)
        assert site.declarations is before
        assert [it.file for it in site.problems()] == [SITE]
    write_site(folder, {SITE: {"zones": ["z7"]}})
    assert list(site.declarations.zones) == ["z7"]
    assert site.problems() == []


@pytest.mark.parametrize("broken", ["zones: [z1\n", "nodes: {n3: {rack: r9}}\n"])
def test_an_edit_beside_a_broken_new_file_counts_once_that_is_gone(tmp_path, broken):
    """Deleting the broken file changes nothing that the others say, but what they say was never taken in."""
    folder = a_site(tmp_path)
    site = open_site(folder)
    assert list(site.declarations.nodes) == ["n1"]
    (folder / "site/new.yaml").write_text(broken)
    write_site(folder, {"site/b.yaml": {"nodes": {"n2": {"rack": "r1"}}}})
    assert list(site.declarations.nodes) == ["n1"]
    assert [it.file for it in site.problems()] == ["site/new.yaml"]
    (folder / "site/new.yaml").unlink()
    assert sorted(site.declarations.nodes) == ["n1", "n2"]
    assert site.problems() == []


def test_a_deleted_file_means_nothing_when_it_comes_back_broken(tmp_path):
    """What a declaration said before it was deleted is not its last good content; nor is its error told for ever."""
    folder = a_site(tmp_path)
    site = open_site(folder)
    write_site(folder, {"site/b.yaml": {"nodes": {"n2": {"rack": "r1"}}}})
    assert sorted(site.declarations.nodes) == ["n1", "n2"]
    (folder / "site/b.yaml").unlink()
    assert list(site.declarations.nodes) == ["n1"]
    (folder / "site/b.yaml").write_text("nodes: [\n")
    assert list(site.declarations.nodes) == ["n1"]
    write_site(folder, {"global/a.sls": {"racksalt": 1}})
    with pytest.raises(InvalidInputError):
        values(site)
    assert [it.file for it in site.problems()] == ["site/b.yaml", "global/a.sls"]
    (folder / "site/b.yaml").unlink()
    (folder / "global/a.sls").unlink()
    assert site.problems() == []


def test_a_layer_that_was_never_good_stops_its_nodes_only(tmp_path):
    """A node gets no configuration rather than one with a hole in it; the others get theirs."""
    folder = a_site(tmp_path, racks=("r1", "r2"))
    site = open_site(folder)
    (folder / "rack").mkdir()
    (folder / "rack/r1.sls").write_text("a: [1\n")
    with pytest.raises(InvalidInputError, match=r"rack/r1\.sls"):
        values(site)
    assert site.effective("n2", "r2", "z1").values == {}
    assert [it.file for it in site.problems()] == ["rack/r1.sls"]


def test_a_site_with_errors_is_not_opened(tmp_path):
    """All of its errors are told at once, of declarations and of layers."""
    folder = a_site(tmp_path, nodes={"n1": {"rack": "r9"}}, layers={"zone/z1.sls": {"racksalt": 1}})
    with pytest.raises(InvalidInputError) as raised:
        open_site(folder)
    files = {it["file"] for it in raised.value.detail["problems"]}
    assert files == {SITE, "zone/z1.sls"}
    with pytest.raises(InvalidInputError, match="no rack 'r9'"):
        _ = Site(SiteFolder(folder)).declarations


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    """It is not an empty site."""
    with pytest.raises(InvalidInputError, match="no folder"):
        open_site(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {{ grains.id }}\n", "line 1 looks like Jinja"),
        ("a: 1\n{% if x %}\n", "line 2 looks like Jinja"),
        ("a: [1\n", "line 2: "),
        ("a: 1\na: 2\n", "line 2: key 'a' stands twice"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: key 'b' stands twice"),
        ("80: http\n", "line 1: key '80' is not text"),
        ("on: 1\n", "line 1: key 'on' is not text"),
        ("- a\n", "the file is not a map"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: !include b\n", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "line 2: "),
        ("a: &a [*a]\n", "an alias that holds itself"),
        ("- " * 50_000, "nested too deeply"),
        ("{a: 1}: 2\n", "line 1: "),
        ("a: " + "[" * 50_000 + "]" * 50_000, "nested too deeply"),
        (b"a: \xff\n", "line 1 is not UTF-8"),
        ("a: \0\n", "not allowed"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path, text, message):
    """One problem, with the file and as far as possible the line, and nothing is executed."""
    folder = a_site(tmp_path)
    (folder / "rack").mkdir()
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "rack/r1.sls").write_bytes(content)
    found = told(folder)
    assert len(found) == 1
    assert found[0].startswith("rack/r1.sls: : ")
    assert message in found[0]


def test_braces_can_be_meant_as_text(tmp_path):
    """A file that begins with ``#!yaml`` is taken as it stands."""
    file = tmp_path / "x.sls"
    file.write_text('#!yaml\na: "{{ later }}"\n')
    assert read_values(file) == {"a": "{{ later }}"}


def test_values_mean_what_they_look_like(tmp_path):
    """What old YAML makes of dates, leading zeros and colons stays text; maps can be shared by anchors."""
    file = tmp_path / "x.sls"
    file.write_text(
        "mac: 52:54:00:12:34:56\nmode: 0644\nday: 2026-11-23\nport: 80\nhex: 0x1F\nhalf: 0.5\n"
        "far: 1e3\nyes: 'x'\n".replace("yes:", "'yes':")
        + "on_: on\nno_: No\nnothing:\nnull_: ~\nversion: 1.10.2\ninf: .inf\n"
        "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\n"
    )
    assert read_values(file) == {
        "mac": "52:54:00:12:34:56",
        "mode": "0644",
        "day": "2026-11-23",
        "port": 80,
        "hex": 31,
        "half": 0.5,
        "far": 1000.0,
        "yes": "x",
        "on_": True,
        "no_": False,
        "nothing": None,
        "null_": None,
        "version": "1.10.2",
        "inf": ".inf",
        "base": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3},
    }


def test_an_empty_file_is_an_empty_layer(tmp_path):
    """A file of comments only says nothing, and that is fine."""
    folder = a_site(tmp_path)
    (folder / "rack").mkdir()
    (folder / "rack/r1.sls").write_text("# later\n")
    assert told(folder) == []
    assert values(open_site(folder)) == {}


def test_two_files_of_the_global_layer_must_not_overlap(tmp_path):
    """Otherwise a file's name would decide."""
    folder = a_site(tmp_path, layers={"global/a.sls": {"x": {"y": 1}}, "global/b.sls": {"x": 2}})
    assert told(folder) == ["global/b.sls: x: is set in global/a.sls too"]


def test_files_that_are_never_read_are_told(tmp_path):
    """A wrong suffix or a rack that nobody declared is a warning, not silence."""
    folder = a_site(tmp_path, layers={"rack/r9.sls": {}, "rack/r1.yaml": {}, "site/b.yml": {}})
    assert told(folder, "warning") == [
        "rack/r1.yaml: : is not read",
        "rack/r9.sls: : no rack 'r9' is declared",
        "site/b.yml: : is not read",
    ]
    assert told(folder) == []


@pytest.mark.parametrize("name", ["../n1", "a/b", "..", ".", "", ".hidden", "n\0"])
def test_no_name_leads_out_of_its_folder(tmp_path, name):
    """A node id, rack or zone with a path in it has no layer, whoever made it up."""
    folder = a_site(tmp_path, layers={"node/n1.sls": {"a": 1}, "a/b.sls": {"b": 1}})
    write_site(folder, {"node/.hidden.sls": {"c": 1}})
    assert open_site(folder).effective(name, name, name).values == {}


def test_a_file_without_permission_is_told(tmp_path):
    """A folder in the place of a file, or a file that may not be read, is a problem and no crash."""
    folder = a_site(tmp_path)
    (folder / "rack/r1.sls").mkdir(parents=True)
    assert told(folder) == ["rack/r1.sls: : cannot be read: Is a directory"]


def test_reading_one_node_touches_only_its_files(tmp_path, monkeypatch):
    """The work for one node is the same on a site of three nodes and on one of three hundred."""
    counts = []
    for number in (3, 300):
        nodes = [f"n{n}" for n in range(number)]
        layers = {f"node/{node}.sls": {"a": node} for node in nodes}
        folder = a_site(tmp_path / str(number), nodes=nodes, layers=layers)
        source = SiteFolder(folder)
        touched = []
        real = source._read
        monkeypatch.setattr(
            source, "_read", lambda file, parse, r=real, t=touched: t.append(file) or r(file, parse)
        )
        source.layers(N1)
        counts.append(touched)
    assert counts[0] == counts[1] == ["zone/z1.sls", "rack/r1.sls", "node/n1.sls"]


def test_a_copy_of_a_site_can_have_other_bmcs(tmp_path):
    """The demo moves the example's BMCs to the ports that it got; all else stays."""
    example = share_dir("pillar")
    copied = copy_site(example, tmp_path / "copy", {"n1": ("127.0.0.9", 4711)})
    before, after = open_site(example).declarations, open_site(copied).declarations
    assert after.nodes["n1"].bmc
    assert (after.nodes["n1"].bmc.address, after.nodes["n1"].bmc.port) == ("127.0.0.9", 4711)
    assert after.nodes["n1"].bmc.secret == before.nodes["n1"].bmc.secret
    assert after.nodes["n2"] == before.nodes["n2"]
    assert after.racks == before.racks
    with pytest.raises(InvalidInputError, match="n99"):
        copy_site(example, tmp_path / "other", {"n99": ("127.0.0.1", 1)})


def test_the_example_site_is_sound_and_shows_each_kind_of_layer():
    """Two zones, four racks, eight nodes; each kind of layer overrides something, and one takes something away."""
    example = share_dir("pillar")
    assert check(example) == []
    site = open_site(example)
    declared = site.declarations
    assert (len(declared.zones), len(declared.racks), len(declared.nodes)) == (2, 4, 8)
    assert [it for it in declared.nodes if it.endswith("bad-disk")] == ["n8-bad-disk"]
    assert all(node.bmc and node.serial and node.macs for node in declared.nodes.values())
    winners = {
        site.explain("ntp:servers", *declared.place(node)).winner.layer for node in declared.nodes
    }
    assert winners == {"global", "rack:r1", "node:n2"}
    assert site.explain("dns:servers", *declared.place("n7")).winner.layer == "zone:z2"
    assert site.explain("syslog", *declared.place("n7")).removed
    assert declared.policy.goal == "ready"


def test_a_proposed_file_says_what_is_wrong_with_it(tmp_path):
    """The same rules hold for a content that is only thought of."""
    file = tmp_path / "new.sls"
    file.write_text("racksalt: {state: ready}\n")
    with pytest.raises(RacksaltError, match="own fact"):
        read_values(file)
    with pytest.raises(RacksaltError, match="no file"):
        read_values(tmp_path / "none.sls")


def test_threads_see_an_edit_whole_or_not_at_all(tmp_path):
    """Readers in several threads get the old values or the new ones while a file is replaced again and again."""
    folder = a_site(tmp_path, layers={"rack/r1.sls": {"a": 0, "b": 0}})
    site = open_site(folder)
    done = threading.Event()
    seen: list[dict] = []

    def read() -> None:
        while not done.is_set():
            seen.append(values(site))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 60):
        write_site(tmp_path, {"next.sls": {"a": number, "b": number}})
        (tmp_path / "next.sls").replace(folder / "rack/r1.sls")
    done.set()
    for reader in readers:
        reader.join()
    assert all(it["a"] == it["b"] for it in seen)
    assert values(site) == {"a": 59, "b": 59}
