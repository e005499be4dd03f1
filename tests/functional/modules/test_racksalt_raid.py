"""Software RAID: found by its name, built of blank disks only, read back; nothing foreign is overwritten unasked."""

from __future__ import annotations

import json
import shutil

import pytest
from salt.exceptions import CommandExecutionError

MDSTAT = """Personalities : [raid1] [raid6] [raid5] [raid4]
md127 : active raid1 vdc[1] vdb[0]
      65472 blocks super 1.2 [2/2] [UU]
      [=>...................]  resync =  8.7% (5760/65472) finish=0.1min speed=5760K/sec

md126 : active (auto-read-only) raid5 sdd1[3] sdc1[1](F) sdb1[0]
      130944 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [U_U]

md125 : inactive sde[0](S)
      1024 blocks super 1.2

unused devices: <none>
"""
EXAMINE = """MD_LEVEL=raid1
MD_DEVICES=2
MD_NAME=any:data
MD_ARRAY_SIZE=63.94MiB
MD_UUID=0d3a9a1c:11111111:22222222:33333333
MD_METADATA=1.2
"""
RUNS = "md127 : active raid1 rsb[1] rsa[0]\n      1024 blocks super 1.2 [2/2] [UU]\n"
DATA = {"name": "data", "level": "raid1", "devices": 2, "disks": ["rsa", "rsb"]}


def test_arrays_are_read_from_the_kernel(real):
    """Level, members, how many work, and how far a rebuild is."""
    assert real.modules.racksalt_raid.mdstat(MDSTAT) == [
        {
            "device": "md127",
            "active": True,
            "level": "raid1",
            "members": ["vdb", "vdc"],
            "devices": 2,
            "working": 2,
            "doing": "resync",
            "sync": 8.7,
        },
        {
            "device": "md126",
            "active": True,
            "level": "raid5",
            "members": ["sdb1", "sdc1", "sdd1"],
            "devices": 3,
            "working": 2,
        },
        {"device": "md125", "active": False, "level": None, "members": ["sde"]},
    ]


def test_a_superblock_is_read(real):
    """The name is that of the array, without the host that made it."""
    assert real.modules.racksalt_raid.superblock(EXAMINE) == {
        "name": "data",
        "level": "raid1",
        "devices": 2,
        "uuid": "0d3a9a1c:11111111:22222222:33333333",
    }
    assert real.modules.racksalt_raid.superblock("mdadm: No md superblock detected") == {}


@pytest.fixture
def server(real, tmp_path, monkeypatch):
    """A machine with three blank disks; mdadm and wipefs keep their state in files, as real ones do on disks."""
    assert real.modules.racksalt_raid.mdstat("") == []
    state, tools = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    tools.mkdir()
    scripts = {
        "wipefs": 'case $1 in --json) n=$(basename $2); if [ -f {s}/$n ]; then cat {s}/$n; else echo "{{}}"; fi;;'
        " --all) shift; for d in $*; do echo wiped $d >>{s}/log; rm -f {s}/$(basename $d); done;; esac",
        "mdadm": (
            "if [ $1 = --examine ]; then f={s}/$(basename $3).md; [ -f $f ] && cat $f || exit 1; fi\n"
            'if [ $1 != --examine ]; then echo "$*" >>{s}/log; fi\n'
            "if [ $1 = --create ]; then for d in $*; do case $d in\n"
            "/dev/rs*) cat {s}/examine >{s}/$(basename $d).md;; esac; done; fi"
        ),
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script.format(s=state)}\n")
        (tools / name).chmod(0o755)
    for name in ("cat", "rm", "basename"):
        (tools / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
    monkeypatch.setenv("PATH", str(tools))
    (state / "examine").write_text(EXAMINE)
    module = _module("racksalt_raid", "superblocks")
    disks = [
        {"name": n, "serial": f"SER-{n}", "size_gb": 960, "media": "hdd"}
        for n in ("rsa", "rsb", "rsc")
    ]
    known = real.loaders.modules
    wrapped = {
        "racksalt_drive.disks": lambda: disks,
        "racksalt_settings.checked": known["racksalt_settings.checked"],
        "racksalt_probe.run": known["racksalt_probe.run"],
        "racksalt_probe.run_all": known["racksalt_probe.run_all"],
        "racksalt_signature.unreadable": lambda devices: [],
        "racksalt_disk.disks": lambda: [{"name": disk["name"], "refused": None} for disk in disks],
        "racksalt_disk.check_may_write": lambda names: None,
    }
    monkeypatch.setattr(module, "__salt__", wrapped)
    monkeypatch.setattr(module, "arrays", lambda root="/": [])
    return module, state


def _module(name, attribute):
    """Return the file that Salt's loader has loaded for a real machine."""
    import sys

    return next(
        module
        for loaded, module in list(sys.modules.items())
        if loaded.endswith(f".{name}")
        and hasattr(module, attribute)
        and hasattr(module, "__salt__")
    )


def test_an_array_is_built_of_blank_disks_and_known_again(server):
    """The second time there is nothing to build; what does not run is assembled."""
    raid, state = server
    (step,) = raid.plan([DATA])
    assert (step["action"], step["disks"]) == ("create", ["rsa", "rsb"])
    assert raid.carry_out([step]) == ["data"]
    log = (state / "log").read_text()
    assert (
        "--create /dev/md/data --run --metadata=1.2 --homehost=any --name=data --level=raid1" in log
    )
    assert "/dev/rsc" not in log
    (again,) = raid.plan([DATA])
    assert (again["action"], again["disks"]) == ("assemble", ["rsa", "rsb"])
    raid.arrays = lambda root="/": raid.mdstat(RUNS)
    assert [one["action"] for one in raid.plan([DATA])] == ["none"]


@pytest.mark.parametrize(
    ("mdstat", "action", "why"),
    [
        (RUNS, "none", ""),
        (RUNS.replace("[2/2] [UU]", "[2/1] [U_]"), "refuse", "data is degraded: 1 of its 2 disks"),
        (RUNS.replace("[2/2] [UU]", "[2/1] [U_]\n recovery = 5.0% (1/20)"), "none", ""),
        (RUNS.replace("[2/2] [UU]", "[2/1] [U_]\n \trecovery=DELAYED"), "none", ""),
        (RUNS.replace("[2/2] [UU]", "[2/1] [U_]\n check = 5.0% (1/20)"), "refuse", "degraded"),
        ("md127 : inactive rsa[0](S) rsb[1](S)\n 1024 blocks super 1.2\n", "assemble", ""),
        ("unused devices: <none>\n", "assemble", ""),
    ],
)
def test_an_array_counts_only_if_it_runs_whole_or_is_rebuilt(server, mdstat, action, why):
    """A stage that passes over an array that misses a disk would hand it to somebody as safe."""
    raid, state = server
    for name in ("rsa", "rsb"):
        (state / f"{name}.md").write_text(EXAMINE)
    raid.arrays = lambda root="/": raid.mdstat(mdstat)
    (step,) = raid.plan([DATA])
    assert (step["action"], why in step["why"]) == (action, True)
    if action == "assemble":
        raid.carry_out([step])
        stopped = ["--stop /dev/md127"] if "inactive" in mdstat else []
        log = (state / "log").read_text().splitlines()
        assert log == [*stopped, "--assemble --run /dev/md/data /dev/rsa /dev/rsb"]


def test_an_array_that_has_lost_a_disk_is_not_started_without_it(server):
    """It is refused by name, with what is left of it."""
    raid, state = server
    (state / "rsb.md").write_text(EXAMINE)
    (step,) = raid.plan([DATA])
    assert step["action"] == "refuse"
    assert step["why"] == "data is degraded: of its 2 disks only rsb are there"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_on_a_disk_is_lost_only_where_the_plan_allows_it(server, overwrite):
    """The refusal names the disk and what is on it, and nothing is written to any disk."""
    raid, state = server
    (state / "rsb").write_text(json.dumps({"signatures": [{"type": "ext4"}, {"type": "gpt"}]}))
    (step,) = raid.plan([DATA], overwrite)
    assert step["action"] == ("create" if overwrite else "refuse")
    if overwrite:
        raid.carry_out([step])
        assert "wiped /dev/rsb" in (state / "log").read_text()
        return
    assert "rsb (ext4, gpt) would be lost" in step["why"]
    with pytest.raises(Exception, match="would be lost"):
        raid.carry_out([raid.plan([{**DATA, "name": "other"}], True)[0], step])
    assert not (state / "log").exists()


@pytest.mark.parametrize("overwrite", ["false", "no", 1, []])
def test_leave_to_overwrite_is_true_or_false(server, overwrite):
    """A quoted "false" is no leave."""
    raid, _ = server
    with pytest.raises(CommandExecutionError, match=r"raid:overwrite: .* neither true nor false"):
        raid.plan([DATA], overwrite)


def test_a_disk_that_cannot_be_looked_at_counts_as_full(server, monkeypatch):
    """Without wipefs nothing is known to be blank."""
    raid, _ = server
    monkeypatch.setenv("PATH", "/nonexistent")
    assert raid.plan([DATA])[0]["action"] == "refuse"


def test_a_disk_in_use_is_never_taken(server, monkeypatch):
    """Not even where overwriting is allowed."""
    raid, _ = server
    monkeypatch.setattr(raid, "_in_use", lambda disks: ["rsb"])
    (step,) = raid.plan([DATA], True)
    assert (step["action"], "2 disks wanted, 1 fit" in step["why"]) == ("refuse", True)


@pytest.mark.parametrize("built", [False, True])
def test_a_disk_that_racksalt_may_not_write_to_is_never_taken(server, built):
    """One that was plugged in after the dry run is outside the plan, whatever it holds and may be lost."""
    raid, state = server
    refused = {"rsa": None, "rsb": "is outside the plan: …", "rsc": "is write-protected"}
    told = [{"name": name, "refused": why} for name, why in refused.items()]
    raid.__salt__["racksalt_disk.disks"] = lambda: told
    for name in ("rsa", "rsb") if built else ():
        (state / f"{name}.md").write_text(EXAMINE)
    (step,) = raid.plan([DATA], True)
    assert step["action"] == "refuse"
    assert "rsb is outside the plan" in step["why"]
    assert "rsc" not in step["why"]  # nobody asked for it
    del told[1]
    assert "rsb is no disk of this machine" in raid.plan([DATA], True)[0]["why"]
    if built:
        raid.arrays = lambda root="/": raid.mdstat(RUNS)
        assert raid.plan([DATA], True)[0]["action"] == "none"


def test_what_was_planned_is_checked_again_before_anything_is_written(server):
    """Only what is to be written to is asked for, and the error comes first."""
    raid, state = server
    asked = []

    def check(names):
        asked.append(names)
        raise CommandExecutionError("nothing was changed: rsb is in use")

    raid.__salt__["racksalt_disk.check_may_write"] = check
    steps = [*raid.plan([DATA]), {"array": {"name": "x"}, "action": "none", "disks": ["rsc"]}]
    with pytest.raises(CommandExecutionError, match="rsb is in use"):
        raid.carry_out(steps)
    assert asked == [["rsa", "rsb"]]
    assert not (state / "log").exists()


def test_an_array_of_another_shape_is_not_touched(server):
    """Its name is taken; a person erases it."""
    raid, state = server
    for name in ("rsa", "rsb"):
        (state / f"{name}.md").write_text(EXAMINE)
    (step,) = raid.plan([{**DATA, "level": "raid5", "devices": 3}], True)
    assert step["action"] == "refuse"
    assert "is there as raid1 of 2, not raid5 of 3" in step["why"]


@pytest.mark.parametrize(
    ("array", "disks"),
    [
        ({"match": {"media": "hdd"}}, ["rsa", "rsb"]),
        ({"disks": ["SER-rsc", "rsa"]}, ["rsa", "rsc"]),
        ({"disks": "rsb", "devices": 1}, ["rsb"]),
        ({"match": {"media": "ssd"}}, []),
        ({"match": {"media": "hdd", "size_gb_min": 1000}}, []),
        ({}, []),
    ],
)
def test_disks_are_chosen_by_name_serial_or_kind(server, array, disks):
    """Without either, none is: no array takes disks that nobody named."""
    raid, _ = server
    (step,) = raid.plan([{"name": "data", "level": "raid1", "devices": 2, **array}])
    assert step["disks"] == disks
    assert step["action"] == ("create" if disks else "refuse")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        ({"disks": [0x5000C500A1B2C3D4, "rsa"]}, "data:disks: .* (0x5000c500a1b2c3d4) is no text"),
        ({"disks": ["rsa", None]}, "data:disks: null is no text"),
        ({"match": {"model": 860}}, "data:match:model: 860 is no text"),
        ({"match": {"min_gb": 1000}}, "data:match:min_gb: no such key; use media, model, size_gb"),
        ({"match": {"serial": ["rsa"]}}, "data:match:serial: no such key"),
        ({"match": {"size_gb_min": "1 TB"}}, 'size_gb_min: "1 TB" is no number'),
        ({"disk": "rsa"}, "arrays:data:disk: no such key; use name, level, devices, disks, match"),
    ],
)
def test_what_no_array_has_is_refused(server, array, told):
    """A WWN without quotes is a number, which no disk has; a word of another stage would leave out a wish."""
    raid, state = server
    wanted = [DATA, {"name": "data", "level": "raid1", "devices": 2, **array}]
    with pytest.raises(CommandExecutionError, match=told.replace("(", r"\(").replace(")", r"\)")):
        raid.plan(wanted, True)
    assert not (state / "log").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_virtual_machine_has_the_arrays_of_its_description(node, there):
    """A missing one is refused by name, level and size; nothing is built of a description."""
    array = {"name": "md0", "level": "raid1", "devices": 2}
    node.describe(raid=[array] if there else [{**array, "level": "raid0"}])
    ret = node.states.racksalt_raid.present(name="r", arrays=[array])
    assert ret.result is there
    assert ("md0 (raid1 of 2) is missing" in ret.comment) is not there


STORCLI = {
    "Controllers": [
        {
            "Response Data": {
                "Basics": {"Controller": 0, "Model": "MegaRAID 9560-16i"},
                "Version": {"Firmware Version": "5.190.02-3780"},
                "VD LIST": [
                    {
                        "DG/VD": "0/239",
                        "TYPE": "RAID1",
                        "State": "Optl",
                        "Size": "893.750 GB",
                        "Name": "data",
                    }
                ],
                "PD LIST": [
                    {"EID:Slt": "252:0", "State": "Onln", "Size": "893.750 GB", "Med": "SSD"},
                    {"EID:Slt": "252:1", "State": "UGood", "Size": "14.552 TB", "Med": "HDD"},
                ],
            }
        }
    ]
}
SSACLI = """
Smart Array P408i-a SR Gen10 in Slot 0 (Embedded)
   Bus Interface: PCI
   Firmware Version: 5.32

      logicaldrive 1 (447.10 GB, RAID 1, OK)
      logicaldrive 2 (1.75 TB, RAID 1+0, OK)

      physicaldrive 1I:1:1 (port 1I:box 1:bay 1, SATA SSD, 480 GB, OK)
      physicaldrive 1I:1:2 (port 1I:box 1:bay 2, SAS HDD, 1.2 TB, Predictive Failure)
"""


@pytest.mark.parametrize("driver", ["storcli", "perccli"])
def test_megaraid_lists_are_read(real, driver):
    """Controllers with firmware, disks by enclosure and slot, arrays by name."""
    found = real.modules.racksalt_raid_controller.parse(driver, json.dumps(STORCLI))
    assert found["controllers"] == [
        {"id": "0", "model": "MegaRAID 9560-16i", "firmware": "5.190.02-3780"}
    ]
    assert [(it["slot"], it["size_gb"], it["media"]) for it in found["disks"]] == [
        ("252:0", 894, "ssd"),
        ("252:1", 14552, "hdd"),
    ]
    assert found["arrays"] == [{"name": "data", "level": "raid1", "state": "Optl", "size_gb": 894}]


def test_smart_array_lists_are_read(real):
    """The same shape from a program that prints text."""
    found = real.modules.racksalt_raid_controller.parse("ssacli", SSACLI)
    assert found["controllers"] == [
        {"id": "0", "model": "Smart Array P408i-a SR Gen10", "firmware": "5.32"}
    ]
    assert [(it["slot"], it["size_gb"], it["media"], it["state"]) for it in found["disks"]] == [
        ("1I:1:1", 480, "ssd", "OK"),
        ("1I:1:2", 1200, "hdd", "Predictive Failure"),
    ]
    assert [(it["name"], it["level"]) for it in found["arrays"]] == [
        ("1", "raid1"),
        ("2", "raid10"),
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"Controllers": [{"Response Data": "none"}]}'])
def test_a_controller_program_that_says_nothing_has_nothing(real, text):
    """No output is an error of ours."""
    for driver in ("storcli", "ssacli"):
        found = real.modules.racksalt_raid_controller.parse(driver, text)
        assert (found["disks"], found["arrays"]) == ([], [])


@pytest.mark.parametrize(
    ("maker", "driver"),
    [
        ("Broadcom / LSI MegaRAID SAS-3 3108 [Invader]", "storcli"),
        ("Broadcom / LSI PERC H740P", "perccli"),
        ("Hewlett-Packard Company Smart Array", "ssacli"),
        ("Intel Corporation SATA RAID", None),
    ],
)
def test_controllers_have_their_drivers(real, maker, driver):
    """A maker that the table does not have has none."""
    assert real.modules.racksalt_raid_controller.driver_of(maker) == driver


def test_command_lines_are_the_makers_own(real):
    """No shell is in between, and nothing that is no slot gets into them."""
    command = real.modules.racksalt_raid_controller.command
    assert command("storcli", "create", disks=["252:0", "252:1"]) == [
        "storcli64",
        "/c0",
        "add",
        "vd",
        "type=raid1",
        "name=data",
        "drives=252:0,252:1",
    ]
    assert command("ssacli", "create", level="raid10", disks=["1I:1:1"])[-3:] == [
        "drives=1I:1:1",
        "raid=10",
        "forced",
    ]
    assert command("perccli", "jbod", disks=["252:3"])[1:] == ["/c0/e252/s3", "set", "jbod"]
    for wrong in ({"disks": ["-rf"]}, {"level": "raid9"}, {"controller": "0 all"}, {"name": "a b"}):
        with pytest.raises(ValueError, match="no "):
            command("storcli", "create", **wrong)
