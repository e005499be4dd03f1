"""The demo fails when any single thing that it promises is false.

The rack is a made-up one: the real one, which tests/integration/test_demo.py runs, does not fail on demand.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from racksalt.adapters.site_files import SiteFolder
from racksalt.lab import demo
from racksalt.lab.processes import LabError

BAD = "n8-bad-disk"
GOOD = [f"n{number}" for number in range(1, 8)]
EVERYTHING_S = 100.0
APPLIED = {"file_|-motd_|-/etc/motd_|-managed": {"result": True}}


class FakeRack:
    """A rack on which all is true until a test makes something false; it takes ``needs_s`` by a clock of its own."""

    def __init__(self):
        self.root = None
        self.now = 1000.0
        self.needs_s = EVERYTHING_S
        self.states = {**dict.fromkeys(GOOD, "ready"), BAD: "problem"}
        self.reason = "disk sda is failing"
        self.power = [(name, "power_on", 0, 7) for name in self.states]
        self.answers = {
            "test.ping": dict.fromkeys(GOOD, True),
            "state.apply": dict.fromkeys(GOOD, APPLIED),
        }
        self.zones = {}
        self.errors = None
        self.broken = None
        self.left = []
        self.stopped = False
        self.master = SimpleNamespace(config_file=Path("m/master"))

    def take(self, root):
        """Begin below ``root``, in place of the class that the demo calls."""
        self.root = root
        api = SimpleNamespace(host="127.0.0.1", port=1, url="http://127.0.0.1:1")
        self.installation = SimpleNamespace(
            lab=root,
            site=root,
            settings=SimpleNamespace(boot_api=api, graphql=api),
            settings_file=root / "racksalt.yaml",
        )
        return self

    def use_site(self, source):
        """Take the site as it is, and tell of it in GraphQL."""
        self.installation.site = source
        declared = SiteFolder(source).declarations()
        self.zones = {zone: {} for zone in declared.zones}
        for rack in declared.racks.values():
            self.zones[rack.zone][rack.name] = [
                node.id for node in declared.nodes.values() if node.rack == rack.name
            ]

    def start(self):
        """Let the time pass that all takes; write the BMCs' log."""
        self.now += self.needs_s
        if self.broken:
            raise self.broken
        keys = ("bmc", "command", "code", "session")
        lines = [json.dumps(dict(zip(keys, entry, strict=True))) for entry in self.power]
        (self.root / "bmc.log").write_text("\n".join(lines))

    def open(self):
        """Return what answers for the database."""
        operations = SimpleNamespace(
            list_nodes=lambda: [
                {"id": name, "state": state, "stage": ""} for name, state in self.states.items()
            ],
            why=lambda _name: {"reason": self.reason},
            token_create=lambda *_: {"secret": "made up"},
        )
        return SimpleNamespace(operations=operations, close=lambda: None)

    def salt(self, target, function):
        """Return what the minions answer."""
        assert target == "*"
        return self.answers[function]

    def graphql(self, *_):
        """Return the answer to the query."""
        zones = [
            {
                "name": zone,
                "racks": [
                    {
                        "name": rack,
                        "nodes": [
                            {"name": name, "state": self.states[name].upper()}
                            for name in names
                            if name in self.states
                        ],
                    }
                    for rack, names in racks.items()
                ],
            }
            for zone, racks in self.zones.items()
        ]
        return {"data": {"zones": zones}, "errors": self.errors}

    def stop(self):
        """Note that the demo cleans up."""
        self.stopped = True

    def left_running(self):
        """Return the processes that outlive it."""
        return self.left


@pytest.fixture
def rack(monkeypatch):
    """A rack that the demo takes for the real one."""
    made = FakeRack()
    log = logging.getLogger("salt")
    level = log.level
    monkeypatch.setattr(demo, "Rack", made.take)
    monkeypatch.setattr(demo, "_ask", made.graphql)
    clock = SimpleNamespace(monotonic=lambda: made.now, sleep=lambda _: wait(made))
    monkeypatch.setattr(demo, "time", clock)
    yield made
    log.setLevel(level)
    if made.root is not None:
        shutil.rmtree(made.root, ignore_errors=True)


def wait(made):
    """Let a pause of the demo pass."""
    made.now += 1.0


def run(made):
    """Run the demo to its end; it cleans up in any case."""
    status = demo.run(exit_when_done=True)
    assert made.stopped
    return status


def test_status_0_when_all_is_true(rack, capsys):
    """The made-up rack keeps every promise: what fails below fails for the one thing that is changed."""
    assert run(rack) == 0, capsys.readouterr().out
    assert not rack.root.exists()


def ping(**changed):
    """Return a change of the answers to test.ping; None takes one away."""
    return lambda rack: answer(rack, "test.ping", changed)


def apply(**changed):
    """Return a change of the answers to state.apply."""
    return lambda rack: answer(rack, "state.apply", changed)


def answer(rack, function, changed):
    """Change what minions answer to a function."""
    found = {**rack.answers[function], **changed}
    rack.answers[function] = {name: value for name, value in found.items() if value is not None}


def state(**changed):
    """Return a change of the nodes' states."""
    return lambda rack: rack.states.update(changed)


def told(command="power_on", code=0, session=7):
    """Return a change of what the first machine's BMC was told."""

    def change(rack):
        rack.power[0] = ("n1", command, code, session)

    return change


def move(rack_name, zone):
    """Return a change that puts a rack's nodes somewhere else: into the zone's first rack."""

    def change(rack):
        use = rack.use_site

        def then(source):
            use(source)
            names = next(
                racks.pop(rack_name) for racks in rack.zones.values() if rack_name in racks
            )
            next(iter(rack.zones[zone].values())).extend(names)

        rack.use_site = then

    return change


def one_zone(rack):
    """Put all racks into one zone."""
    use = rack.use_site

    def then(source):
        use(source)
        rack.zones = {"z1": {**rack.zones["z1"], **rack.zones["z2"]}}

    rack.use_site = then


FALSE = {
    "the eighth answers too": (ping(**{BAD: True}), "test.ping"),
    "only six answer": (ping(n7=None), "test.ping"),
    "one does not return": (ping(n7=False), "test.ping"),
    "nobody answers": (lambda rack: rack.answers.update({"test.ping": {}}), "test.ping"),
    "a state fails": (apply(n3={"a": {"result": False}}), "state.apply"),
    "one of two states fails": (
        apply(n3={**APPLIED, "a": {"result": False}}),
        "state.apply",
    ),
    "no state is applied": (apply(n3={}), "state.apply"),
    "an SLS does not render": (apply(n3=["Rendering SLS failed"]), "state.apply"),
    "one never applies": (apply(n3=None), "state.apply"),
    "the eighth applies too": (apply(**{BAD: APPLIED}), "state.apply"),
    "only six are ready": (state(n7="problem"), "not where they should be"),
    "the eighth is ready": (state(**{BAD: "ready"}), "not where they should be"),
    "another reason": (lambda rack: setattr(rack, "reason", "no answer"), "no failing disk"),
    "no reason": (lambda rack: setattr(rack, "reason", None), "no failing disk"),
    "one was never switched on": (lambda rack: rack.power.pop(), "powered on over IPMI"),
    "a BMC refused": (told(code=0xC0), "powered on over IPMI"),
    "a BMC was only looked at": (told(command="get_chassis_status"), "powered on over IPMI"),
    "powered on over Redfish": (told(session=0), "powered on over IPMI"),
    "three racks": (move("r4", "z1"), "racks"),
    "one zone": (one_zone, "zones"),
    "GraphQL errors": (lambda rack: setattr(rack, "errors", [{"message": "no"}]), "GraphQL"),
    "processes are left": (lambda rack: rack.left.append(4711), "processes are left"),
    "it does not start": (
        lambda rack: setattr(rack, "broken", LabError("no master")),
        "no master",
    ),
}


@pytest.mark.parametrize(("change", "words"), FALSE.values(), ids=FALSE)
def test_status_1_when_one_thing_is_false(rack, capsys, change, words):
    """One promise that is broken is a failure, which the last lines name."""
    change(rack)
    assert run(rack) == 1
    failed = capsys.readouterr().out.partition("failed:")[2]
    assert words in failed


@pytest.mark.parametrize("exit_when_done", [True, False])
def test_ctrl_c_before_all_is_proved_is_a_failure(rack, capsys, exit_when_done):
    """Nobody may take what was cut short for what went well."""
    rack.broken = KeyboardInterrupt()
    assert demo.run(exit_when_done=exit_when_done) == 1
    assert rack.stopped
    assert "stopped" in capsys.readouterr().out


@pytest.mark.parametrize(("ending", "status"), [("Ctrl-C", 0), ("a part died", 1)])
def test_it_stays_until_ctrl_c(rack, capsys, monkeypatch, ending, status):
    """All is proved by then, so Ctrl-C is a good end; a master that died is none."""

    def still_there(_rack):
        if ending == "Ctrl-C":
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(demo, "_all_run", still_there)
    assert demo.run(exit_when_done=False) == status
    assert rack.stopped
    assert ("a part of it died" in capsys.readouterr().out) == bool(status)


def test_status_1_when_a_node_is_not_known(rack, capsys):
    """Seven of eight nodes are not all, however well these do."""
    del rack.states["n7"]
    assert run(rack) == 1
    assert "still on their way when time was up: n7" in capsys.readouterr().out


@pytest.mark.parametrize(("needs_s", "status"), [(179.0, 0), (181.0, 1)])
def test_three_minutes_are_the_limit(rack, capsys, needs_s, status):
    """All may be true; after three minutes it is a failure all the same."""
    rack.needs_s = needs_s
    assert run(rack) == status
    assert ("instead of 180 s" in capsys.readouterr().out) == bool(status)


def test_a_node_that_never_settles_ends_it_after_three_minutes(rack, capsys):
    """The demo waits no longer than it promises, and names the node."""
    rack.states["n5"] = "installing"
    assert run(rack) == 1
    assert "still on their way when time was up: n5" in capsys.readouterr().out
    assert rack.now - 1000.0 == pytest.approx(180.0, abs=2.0)
