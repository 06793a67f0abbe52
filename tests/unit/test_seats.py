"""What is known of a worker process that was killed? What it reported last, and that goes on."""

from __future__ import annotations

import mmap
import os
import socket
import time

import pytest

from taskrouting.consuming import seats
from taskrouting.consuming.seats import Seat
from taskrouting.exceptions import ConfigurationError
from taskrouting.instruments.metrics import Counts
from taskrouting.monitoring import exposition, judgement
from taskrouting.monitoring.port import Watch


def report(**changes):
    """What a process that is well says of itself."""
    now = time.monotonic()
    loops = {"worker": now, "relay of 'default'": now}
    well = {"pid": 7, "at": now, "loops": loops, "troubles": [], "consumes": True}
    return {**well, "stopping": False, "counts": {}, **changes}


def seated(**changes):
    """A seat with a report."""
    seat = Seat()
    seat.write(report(**changes))
    return seat


def test_the_newest_report_is_read_in_other_processes():
    """The memory is shared: what a child writes, its parent reads."""
    seat = Seat()
    seat.write({"number": 1})
    if not (child := os.fork()):
        seat.write({"number": 2})
        os._exit(0)
    os.waitpid(child, 0)

    assert seat.read() == {"number": 2}


def test_a_writer_that_is_killed_leaves_the_report_before():
    """Half a report is none."""
    seat = seated(pid=1)
    seat.write(report(pid=2))
    memory: mmap.mmap = seat._memory
    halves = [memory.find(b'"pid": 1'), memory.find(b'"pid": 2')]
    memory[halves[1] : halves[1] + 8] = b'"pid": 3'

    assert seat.read()["pid"] == 1


def test_a_report_that_is_too_long_is_left_out_and_told(caplog):
    """The one before stays."""
    seat = seated()
    seat.write({"counts": "x" * seats.ROOM})

    assert seat.read()["pid"] == 7
    assert "is left out" in caplog.text


def test_counting_goes_on_where_the_one_before_stopped():
    """A counter never falls, whoever is killed; what ran then runs no more."""
    before = Counts()
    before.add("taskrouting_deliveries", "q", "s", "handled", number=3)
    before.observe("taskrouting_delivery_lag_seconds", "q", seconds=0.02)
    before.shift("taskrouting_deliveries_in_progress", "s", by=1)
    seat = seated(counts=before.as_json())

    after = Counts(seat.read()["counts"])
    after.add("taskrouting_deliveries", "q", "s", "handled")
    after.observe("taskrouting_delivery_lag_seconds", "q", seconds=9000)
    seat.write(report(counts=after.as_json()))

    text = exposition.text([], [seat, seated(counts=before.as_json())])[0].decode()
    labels = 'outcome="handled",queue="q",subscription="s"'
    assert f"taskrouting_deliveries_total{{{labels}}} 7.0" in text
    assert "taskrouting_processes_started_total 3.0" in text
    assert 'taskrouting_delivery_lag_seconds_bucket{le="0.025",queue="q"} 2.0' in text
    assert 'taskrouting_delivery_lag_seconds_bucket{le="+Inf",queue="q"} 3.0' in text
    assert 'taskrouting_deliveries_in_progress{subscription="s"} 1.0' in text


@pytest.mark.parametrize(
    ("changes", "live", "ready"),
    [
        ({}, [], []),
        ({"troubles": ["worker x: no route"]}, [], ["worker x: no route"]),
        ({"consumes": False}, [], ["does not consume yet"]),
        ({"stopping": True}, [], ["is stopping"]),
        ({"at": 0.0}, [], ["has reported nothing for"]),
        ({"loops": {"worker": -61.0}}, ["the worker has not gone round for"], []),
        ({"loops": {"worker": -61.0}, "troubles": ["no route"]}, [], ["no route"]),
        ({"loops": {"worker": -301.0}, "troubles": ["no route"]}, ["the worker has"], ["no route"]),
    ],
)
def test_progress_is_judged_by_itself(monkeypatch, changes, live, ready):
    """Live: the loops go round. Ready: nothing is away, and it consumes."""
    monkeypatch.setattr(judgement.time, "monotonic", lambda: 6.0)
    loops = {name: 6.0 + age for name, age in changes.pop("loops", {"worker": 0.0}).items()}
    seat = seated(**{"at": 6.0, "loops": loops, **changes})

    for verdict, faults in ((judgement.live([seat], 0.0), live), (judgement.ready([seat]), ready)):
        assert verdict.status == (503 if faults else 200)
        assert len(verdict.reasons) == len(faults)
        assert [
            text for text in faults if f"process 1 (pid 7): {text}" not in verdict.reasons[0]
        ] == []


def test_a_process_that_has_not_begun_is_waited_for():
    """Who has just been started is alive, and not ready."""
    assert judgement.live([Seat()], time.monotonic()).reasons == []
    assert judgement.live([Seat()], time.monotonic() - 301).reasons == ["process 1: has not begun"]
    assert judgement.ready([Seat()]).reasons == ["process 1: has not begun"]


def test_the_slowest_loop_of_all_counts():
    """The file is touched only when everybody has gone on."""
    slow = seated(loops={"worker": 5.0, "relay of 'default'": 3.0})

    assert judgement.slowest_round([slow, seated()]) == 3.0
    assert judgement.slowest_round([seated(), Seat()]) == 0.0


def test_a_port_that_cannot_be_had_is_said_in_one_sentence():
    """Before any process is started, and the sentence names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Cannot listen on 127.0.0.1, port {number}"):
            Watch(host="127.0.0.1", health_port=number).opened()


def test_all_ports_are_opened_or_none():
    """One that was opened before another could not be does not stay open."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    free, taken = sorted(servers, key=lambda server: server.getsockname()[1])
    number = free.getsockname()[1]
    free.close()
    with taken, pytest.raises(ConfigurationError):
        ports = {"health_port": number, "metrics_port": taken.getsockname()[1]}
        Watch(host="127.0.0.1", **ports).opened()

    socket.create_server(("127.0.0.1", number)).close()
