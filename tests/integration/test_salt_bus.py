"""The reader of the bus on a socket that speaks as Salt's publisher does: it outlives what the bus does to it."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import salt.config
import salt.transport.frame
import salt.utils.event

from racksalt.adapters.salt_bus import BusReader
from racksalt.wire import event_tag
from tests.support.waiting import wait_for


class Bus:
    """The publishing end of a master's bus, as Salt frames its messages."""

    def __init__(self, path):
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._listening.settimeout(10)
        self._path, self._reader = path, None

    def accept(self):
        """Wait until the reader is there."""
        self._reader, _ = self._listening.accept()

    def send(self, raw):
        """Send one message."""
        self._reader.sendall(salt.transport.frame.frame_msg(raw))

    def event(self, number):
        """Send one node event."""
        self.send(self.packed(number))

    @staticmethod
    def packed(number):
        """Return a node event as Salt packs it."""
        data = {"data": {"event_id": str(number)}}
        return salt.utils.event.SaltEvent.pack(event_tag("n1", "moved"), data)

    def close(self):
        """Go away, as a bus whose process was killed."""
        for one in (self._reader, self._listening):
            if one:
                one.close()
        self._path.unlink()


@pytest.fixture
def path(tmp_path):
    """Where the bus is."""
    return tmp_path / "master_event_pub.ipc"


@pytest.fixture
def told():
    """What was handed in: the events' numbers."""
    return []


@pytest.fixture
def reader(path, told):
    """A reader at work."""
    opts = {
        **salt.config.DEFAULT_MASTER_OPTS,
        "sock_dir": str(path.parent),
        "ipc_mode": "ipc",
    }
    made = BusReader(opts, lambda hints: told.extend(hint.id.split(":")[-1] for hint in hints))
    made.start()
    yield made
    made.stop()
    assert not [it.name for it in threading.enumerate() if it.name.startswith("racksalt-bus")]


def test_a_message_that_cannot_be_read_costs_no_other(path, told, reader, caplog):
    """What follows in the same packet is read."""
    bus = Bus(path)
    bus.accept()
    many = (bus.packed(1), b"no tag and no data", b"tag\n\n\xc1", bus.packed(2))
    bus._reader.sendall(b"".join(salt.transport.frame.frame_msg(one) for one in many))
    assert wait_for(lambda: told == ["1", "2"], 10) is not None, told
    assert caplog.text.count("cannot be read") == 2
    bus.close()


def test_a_bus_that_comes_late_and_goes_and_comes_is_read(path, told, reader):
    """The reader is there before the bus, and still there after it was away."""
    for number in range(3):
        time.sleep(0.2)
        bus = Bus(path)
        bus.accept()
        bus.event(number)
        assert wait_for(lambda: len(told) > number, 10) is not None  # noqa: B023 - called here
        bus.close()
    assert told == ["0", "1", "2"]


@pytest.mark.parametrize("before", [True, False])
def test_the_end_does_not_wait_for_a_bus_that_is_away(path, reader, before):
    """Whether it never was there or is gone."""
    if before:
        bus = Bus(path)
        bus.accept()
        bus.close()
    time.sleep(0.1)
    began = time.monotonic()
    reader.stop(30)
    # Salt waits a second between two attempts, and an attempt never ends by itself.
    assert time.monotonic() - began < 10
