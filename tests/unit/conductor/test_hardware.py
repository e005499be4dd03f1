"""Firmware, BIOS settings, factory passwords and burn-in, asked of the lab's Redfish BMC with the real client."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
import time
from dataclasses import replace

import pytest

from racksalt.adapters.redfish import RedfishPower
from racksalt.adapters.site_files import SiteFolder
from racksalt.conductor import Conductor
from racksalt.conductor.access import Access
from racksalt.conductor.hardware import HardwareOperations, component_of, newer, problems
from racksalt.conductor.operations import Operations
from racksalt.lab.redfish_bmc import RefusedError
from racksalt.model.errors import BmcRefusedError, ConflictError, InvalidInputError, NotFoundError
from racksalt.model.hardware import BurnResult, Facts
from racksalt.model.node import Nic
from racksalt.settings import ConductorSettings
from racksalt.site.site import Site
from tests.support.builders import a_node, the_rules
from tests.support.databases import sqlite_store, sqlite_template  # noqa: F401 - fixtures
from tests.support.fakes import FakeWorld, wait_for
from tests.support.redfish_rig import redfish_rig
from tests.support.sites import a_site

IMAGE = json.dumps({"target": "bios", "version": "9.0.0"}).encode()  # what the lab's BMC takes
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.mark.parametrize(
    ("one", "other", "is_newer"),
    [
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("2.4.1", "2.4.1", False),
        ("2.4.1a", "2.4.1", True),
        ("U46 v2.70", "U46 v2.9", True),
        ("GDC5602Q", "GDC5502Q", True),
        ("6.10.30.00", "6.10.30.0", False),
    ],
)
def test_versions_are_compared_by_their_numbers(one, other, is_newer):
    """1.10 is newer than 1.9, whatever stands between the numbers."""
    assert newer(one, other) is is_newer


@pytest.mark.parametrize(
    ("name", "component"),
    [("BIOS", "bios"), ("iDRAC Firmware", "bmc"), ("System ROM", "bios"), ("NIC 1", "nic 1")],
)
def test_makers_names_become_ours(name, component):
    """Each BMC calls its parts its own way."""
    assert component_of(name) == component


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """One Redfish BMC of the lab."""
    with redfish_rig(tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _as_delivered(rig):
    """Its firmware and settings are old again."""
    bmc = rig.bmcs[0]
    bmc.firmware["bios"], bmc.bios["BootMode"] = "2.0", "Uefi"


@pytest.fixture(scope="module")
def redfish(rig):
    """The real client, with its worker processes."""
    client = RedfishPower(rig.secrets)
    yield client
    client.close()


class Images(http.server.SimpleHTTPRequestHandler):
    """Hands out images; ``asked`` is called at each request."""

    asked = staticmethod(lambda: None)

    def do_GET(self):
        """Answer."""
        self.asked()
        super().do_GET()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A web server with one firmware image; its address."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "bios.bin").write_bytes(IMAGE)
    handler = functools.partial(Images, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def layers(images, **image):
    """Return what the site wants of its firmware and BIOS."""
    bios = {"url": f"{images}/bios.bin", "version": "9.0.0", "sha256": SHA256, **image}
    stages = {
        "firmware": {"baseline": {"bios": "9.0.0", "bmc": "0.1"}, "images": {"bios": bios}},
        "bios": {"settings": {"BootMode": "Legacy"}},
    }
    return {"global/base.sls": {"racksalt": {"stages": stages}}}


@pytest.fixture
def make(sqlite_store, tmp_path, rig, redfish):  # noqa: F811
    """Put the verbs together over a node at rest with that BMC, and what its site wants."""
    return functools.partial(made, sqlite_store, tmp_path, rig, redfish)


@pytest.fixture
def hands(make, images):
    """The verbs over a site that wants newer firmware and another boot mode."""
    return make(layers(images))


def made(store, tmp_path, rig, redfish, wanted):
    """Put the verbs together."""
    site = Site(SiteFolder(a_site(tmp_path, nodes=("n0", "n1"), layers=wanted)))
    world = FakeWorld(clock=time.time)
    ports = replace(world.ports, management={"redfish": redfish}, logins={"redfish": redfish})
    conductor = Conductor(store, the_rules, ports, ConductorSettings(), b"s" * 32)
    operations = Operations(conductor, site, Access(store, time.time, b"p"))
    operations.declare()
    with store.write() as tx:
        tx.put([rig.record()])
    return HardwareOperations(operations)


def notes(hands, node="n0"):
    """Return what was journalled beside the declaration."""
    return [e.message for e in hands.store.history(node) if e.source == "operator"]


def test_firmware_is_held_against_the_baseline(hands):
    """Old, new enough, and free where the baseline says nothing; what only the node knows counts too."""
    with hands.store.write() as tx:
        tx.put([Facts(node="n0", at=1.0, firmware={"nic:eth0": "4.2", "bios": "0.0.1"})])
    rows = {row["component"]: row for row in hands.firmware("n0")}
    assert rows["bios"]["verdict"] == "old"
    assert rows["bios"]["version"] != "0.0.1"  # the BMC's word is newer than the inventory's
    assert rows["bmc"]["verdict"] == "ok"
    assert rows["nic:eth0"] == {
        "component": "nic:eth0",
        "version": "4.2",
        "wanted": None,
        "verdict": "free",
    }


def test_a_version_that_yaml_read_as_a_number_is_refused(make, images):
    """Without quotes 1.10 is 1.1: older firmware would pass, or be planned as an update."""
    wanted = layers(images, version=6.1)
    firmware = wanted["global/base.sls"]["racksalt"]["stages"]["firmware"]
    hands = make(wanted)
    told = "racksalt:stages:firmware:images:bios:version of n0: 6.1 is no text"
    with pytest.raises(InvalidInputError, match=told) as error:
        hands.plan_firmware("n0")
    assert "quotes" in error.value.hint
    assert hands.firmware("n0")
    firmware["baseline"]["bios"], firmware["images"] = 1.1, {}
    hands = make(wanted)
    for ask in (hands.firmware, hands.plan_firmware):
        with pytest.raises(InvalidInputError, match=r"baseline:bios of n0: 1\.1 is no text"):
            ask("n0")


def test_parts_are_compared_by_driver_and_model_too(make, images):
    """The oldest of a kind counts, as on the node."""
    wanted = layers(images)
    wanted["global/base.sls"]["racksalt"]["stages"]["firmware"]["baseline"] = {"nic:ice": "4.0"}
    hands = make(wanted)
    with hands.store.write() as tx:
        for number, name in enumerate(("eth0", "eth1")):
            mac = f"02:00:00:00:09:0{number}"
            tx.put([Nic(id=f"n0/{mac}", node="n0", name=name, mac=mac, driver="ice")])
        tx.put([Facts(node="n0", at=1.0, firmware={"nic:eth0": "4.2", "nic:eth1": "3.9"})])
    (row,) = [row for row in hands.firmware("n0") if row["wanted"]]
    assert (row["component"], row["version"], row["verdict"]) == ("nic:ice", "3.9", "old")


def test_an_update_is_planned_carried_out_and_read_back(hands, rig):
    """The plan has image, checksum and reboot; the BMC fetches the image; the new version is read from it."""
    planned = hands.plan_firmware("n0")
    assert [(s["component"], s["to"], s["sha256"], s["reboot"]) for s in planned["steps"]] == [
        ("bios", "9.0.0", SHA256, True)
    ]
    dry = hands.update_firmware("n0", "alice", dry_run=True)
    assert (dry["task"], notes(hands)) == (None, [])
    with pytest.raises(ConflictError, match="the plan is now"):
        hands.update_firmware("n0", "alice", plan="another")
    done = hands.update_firmware("n0", "alice", plan=planned["hash"])
    ended = wait_for(
        lambda: (t := hands.firmware_task("n0", done["task"]))["state"] != "running" and t,
        what="the update",
    )
    assert ended["state"] == "succeeded", ended
    assert notes(hands)[0] == f"firmware bios: task {done['task']}"
    assert SHA256 in notes(hands)[1]
    assert hands.plan_firmware("n0")["steps"]  # a BIOS takes force at the next start
    rig.bmcs[0].machine.power_off()
    rig.bmcs[0].reset("On")
    wait_for(lambda: not hands.plan_firmware("n0")["steps"], what="the new version")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ({"sha256": ""}, "no sha256"),
        ({"sha256": "abc"}, "64 hexadecimal"),
        ({"version": "8.0"}, "older than the baseline"),
    ],
)
def test_an_image_without_checksum_or_of_old_is_no_step(make, rig, images, image, told):
    """It is refused in the plan already, by name, and the BMC is asked for nothing."""
    hands = make(layers(images, **image))
    planned = hands.plan_firmware("n0")
    assert planned["steps"] == []
    assert told in planned["refused"][0]["why"]


def test_an_image_that_is_another_is_not_handed_over(make, rig, images):
    """What is behind the address is looked at before the BMC is told of it."""
    rig.bmcs[0].firmware["bios"] = "2.0"
    hands = make(layers(images, sha256="0" * 64))
    with pytest.raises(InvalidInputError, match="is not what it should be"):
        hands.update_firmware("n0", "alice")
    assert notes(hands) == []


def install(hands):
    """Let the node become busy."""
    node = hands.store.node("n0")
    with hands.store.write() as tx:
        busy = replace(
            node, state="installing", deadline_at=time.time() + 900, version=node.version + 1
        )
        tx.update_nodes([(busy, node.version)])


def test_a_node_that_becomes_busy_while_its_image_is_fetched_is_left_alone(hands, rig, monkeypatch):
    """That may take minutes: it is looked at again right before the BMC is asked, and then the BMC is not."""
    monkeypatch.setattr(Images, "asked", staticmethod(lambda: install(hands)))
    before = len(rig.bmcs[0].tasks)
    with pytest.raises(ConflictError, match="installing"):
        hands.update_firmware("n0", "alice")
    assert (len(rig.bmcs[0].tasks), notes(hands)) == (before, [])


def test_the_journal_has_an_update_before_the_bmc_has(hands, rig, monkeypatch):
    """Whoever dies right after the request leaves an entry; what the BMC answers to it is the next one."""
    seen = []

    def refuse():
        seen.extend(notes(hands))
        raise RefusedError(400, "OutOfSpace", "No room for an image.")

    monkeypatch.setattr(type(rig.bmcs[0]), "begin_update", lambda _: refuse())
    with pytest.raises(BmcRefusedError):
        hands.update_firmware("n0", "alice")
    assert len(seen) == 1
    assert SHA256 in seen[0]
    assert len(notes(hands)) == 2
    assert "No room" in notes(hands)[0]


def test_a_busy_node_is_left_alone(hands, rig):
    """Its power may be cut at any moment."""
    install(hands)
    with pytest.raises(ConflictError, match="installing"):
        hands.update_firmware("n0", "alice")
    with pytest.raises(ConflictError, match="installing"):
        hands.set_bios("n0", "alice")


def test_bios_settings_wait_for_the_next_start_and_are_read_back(hands, rig):
    """Set once, pending, in force after a restart; the second time there is nothing to set."""
    before = hands.bios("n0")
    assert before["differ"] == before["to_set"] == ["BootMode"]
    assert hands.set_bios("n0", "alice", dry_run=True) == before
    after = hands.set_bios("n0", "alice")
    assert (after["pending"], after["to_set"], after["restart"]) == (
        {"BootMode": "Legacy"},
        [],
        True,
    )
    hands.set_bios("n0", "alice")
    assert notes(hands) == ["BIOS, for the next start: BootMode"]
    rig.bmcs[0].machine.power_off()
    rig.bmcs[0].reset("On")
    wait_for(lambda: hands.bios("n0")["differ"] == [], what="the settings")


def test_a_setting_that_the_bios_has_not_is_refused_by_name(make, rig, images):
    """Nothing is set then."""
    wanted = layers(images)
    wanted["global/base.sls"]["racksalt"]["stages"]["bios"]["settings"] = {"Turbot": "On"}
    hands = make(wanted)
    with pytest.raises(BmcRefusedError, match="Turbot"):
        hands.set_bios("n0", "alice")


def test_factory_passwords_are_tried_and_told(hands):
    """The lab's BMC takes none; a node without a BMC is not known to be safe."""
    found = hands.security(["n0", "n1"], "alice")
    assert [(row["node"], row["safe"]) for row in found] == [("n0", True), ("n1", None)]
    assert problems(found) == ["n1"]
    assert notes(hands) == []


def test_a_factory_password_is_journalled_without_the_password(hands):
    """The journal names the user only."""

    class Taken:
        def default_logins(self, bmc):
            return ["root"]

    hands.conductor.world = replace(hands.conductor.world, logins={"redfish": Taken()})
    (row,) = hands.security(["n0"], "alice")
    assert (row["default_logins"], row["safe"]) == (["root"], False)
    assert notes(hands) == ["its BMC takes the factory password of root"]


def test_nodes_that_are_not_there_are_named(hands):
    """Every verb says which."""
    for verb in (hands.firmware, hands.bios, hands.inventory, lambda name: hands.burn_in([name])):
        with pytest.raises(NotFoundError, match="n9"):
            verb("n9")


def test_burn_in_is_listed_whole_or_only_what_is_bad(hands):
    """A slow disk among its peers, and a part that failed."""
    names = [f"b{n}" for n in range(6)]
    with hands.store.write() as tx:
        tx.add_nodes([a_node(name) for name in names])
        tx.put(
            [
                BurnResult(
                    id=f"{name}/1/disk:sda/read_mib_s",
                    node=name,
                    at=1.0,
                    part="disk:sda",
                    measure="read_mib_s",
                    ok=name != "b1",
                    value=100.0 if name == "b0" else 500.0 + number,
                    model="MAKER 1",
                )
                for number, name in enumerate(names)
            ]
        )
    assert [row["node"] for row in hands.burn_in()] == names
    assert [row["node"] for row in hands.burn_in(worse=True)] == ["b0", "b1"]
    assert [row["node"] for row in hands.burn_in(["b3"])] == ["b3"]


def test_the_inventory_holds_lists_and_proposal(hands):
    """Where there is none yet, there is nothing."""
    found = hands.inventory("n0")
    assert (found["facts"], found["place_proposal"]) == (None, None)
