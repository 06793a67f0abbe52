"""Does a real worker process do what it promises? Signals, crashes, replacement, drain."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from kombu import Connection, Exchange

from benchmarks.chaos.processes import alive, family
from taskrouting import publish, publish_many
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.routing.subscriptions import registry
from tests import processes
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("depot")]


@pytest.fixture
def depot() -> Iterator[None]:
    """Know the depot's subscriptions here too, so that a publish finds their queues."""
    ours = {each.name: each for each in registry}
    importlib.reload(importlib.import_module("tests.depot.subscribers"))
    yield
    for each in registry:
        if each.name not in ours:
            registry.remove(each.name)


def handled(count: int) -> bool:
    """Whether ``count`` deliveries are handled."""
    return Delivery.objects.filter(state="handled").count() == count


def lines(path: Path) -> list[str]:
    """The first words of a log."""
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_burst_handles_everything_and_exits_0(tmp_path):
    """``--burst`` drains outbox, due retries and queues, then exits 0."""
    publish_many([("depot.write.row", {"n": number}) for number in range(20)])

    with processes.worker(tmp_path, "--burst") as worker:
        assert worker.wait() == 0, worker.printed()

    assert handled(20)
    assert Group.objects.count() == 20
    assert AuditLog.objects.count() == 20
    assert not Message.objects.exists()
    assert not WorkerProcess.objects.exists()


def test_a_stop_finishes_what_has_begun(tmp_path):
    """SIGTERM: the running handler ends, nothing is burnt, and the exit code is 0."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path) as worker:
        worker.wait_until_ready()
        publish("depot.call.slow", {"seconds": 1, "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the handler to begin")

        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0, worker.printed()
    assert lines(log) == ["begin", "end"]
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.crashes) == ("handled", 1, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_is_an_ordinary_stop(tmp_path, number):
    """A terminal and systemd signal every process: what has begun is finished all the same."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path) as worker:
        worker.wait_until_ready()
        publish("depot.call.slow", {"seconds": 1, "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the handler to begin")

        worker.signal_group(number)

        assert worker.wait() == 0, worker.printed()
    assert lines(log) == ["begin", "end"]
    assert Delivery.objects.get().state == "handled"


def test_a_process_that_is_told_to_stop_again_and_again_stops_once(tmp_path):
    """A signal that comes while the one before it is being heard keeps no process from leaving."""
    with processes.worker(tmp_path) as worker:
        worker.wait_until_ready()
        (child,) = wait_until(worker.children, message="its process")

        worker.signal(signal.SIGTERM)
        with suppress(ProcessLookupError):  # it is gone, as it should be
            for _ in range(100_000):
                os.kill(child, signal.SIGTERM)

        assert worker.wait() == 0, worker.printed()


def test_a_stop_past_the_grace_hands_the_delivery_over(tmp_path):
    """What does not end within the grace is run by another worker, and counts no crash."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path, "--grace", "0.2") as worker:
        worker.wait_until_ready()
        publish("depot.call.slow", {"seconds": 3, "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the handler to begin")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.printed()

    assert Delivery.objects.get().state == "pending"
    with processes.worker(tmp_path, "--burst") as worker:
        assert worker.wait() == 0, worker.printed()

    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.crashes) == ("handled", 1, 0)
    assert lines(log) == ["begin", "begin", "end"]


def insist(worker):
    """Press Ctrl-C once more, unless that is over; say whether it is."""
    if not worker.ended():
        worker.signal(signal.SIGINT)
    return worker.ended()


def test_signals_that_come_together_are_one(tmp_path):
    """``timeout`` and some process managers send several at once: an ordinary stop."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path) as worker:
        worker.wait_until_ready()
        publish("depot.call.slow", {"seconds": 1, "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the handler to begin")
        worker.signal(signal.SIGINT)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.printed()

    assert Delivery.objects.get().state == "handled"


@pytest.mark.parametrize("kind", ["call", "write"])
def test_a_second_signal_exits_at_once_and_loses_nothing(tmp_path, kind):
    """Twice Ctrl-C: gone within moments, and the work is done by the next worker."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path, LEASE=2) as worker:
        worker.wait_until_ready()
        publish(f"depot.{kind}.slow", {"until": str(tmp_path / "told"), "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the handler to begin")
        wait_until(lambda: insist(worker), timeout=15, message="the end")
        assert "Ended by force" in worker.printed()
    (tmp_path / "told").touch()

    with processes.worker(tmp_path, LEASE=2) as worker:
        wait_until(lambda: handled(1), timeout=20, message="the next worker to handle it")
    assert Group.objects.count() == (1 if kind == "write" else 0)


@pytest.mark.parametrize("kind", ["call", "write"])
def test_a_killed_process_is_replaced_and_its_work_is_done(tmp_path, kind):
    """SIGKILL in the middle of a handler: the supervisor replaces the process, once is enough."""
    mark = tmp_path / "killed"
    with processes.worker(tmp_path, LEASE=2) as worker:
        worker.wait_until_ready()
        # Long enough for an acknowledgement that came too early to reach the broker.
        publish(f"depot.{kind}.kill", {"seconds": 0.5, "kill": str(mark)})
        publish("depot.write.neighbour", {})

        wait_until(lambda: handled(2), timeout=30, message=f"both deliveries in {worker.log}")
        assert "replacing it" in worker.printed()
        assert not worker.ended()

    rows = {row.routing_key: row for row in Delivery.objects.all()}
    assert rows[f"depot.{kind}.kill"].attempts == 1
    assert rows["depot.write.neighbour"].crashes == 0
    assert Group.objects.count() == (2 if kind == "write" else 1)
    assert not DeadLetter.objects.exists()


def test_who_dies_again_and_again_holds_up_no_other(tmp_path):
    """A young one's death is made good later, up to five seconds; that of an old one at once."""
    with processes.worker(tmp_path, "--processes", "2") as worker:
        worker.wait_until_ready(2)

        def living(*others):
            pids = family(worker.process.pid)[1:]
            return [pid for pid in pids if pid not in others and alive(pid)]

        old, young = living()
        for deaths in range(1, 6):
            os.kill(young, signal.SIGKILL)
            wait_until(lambda n=deaths: worker.printed().count("died (exit code -9)") == n)
            if deaths < 5:
                (young,) = wait_until(lambda: living(old), timeout=20, message="the next young one")
        os.kill(old, signal.SIGKILL)

        wait_until(lambda: living(old), timeout=4, message="another in the place of the old one")
        wait_until(lambda: len(living()) == 2, timeout=20, message="both")


def test_several_processes_share_the_work(tmp_path):
    """``--processes 2``: both consume, and every delivery is handled once."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path, "--processes", "2") as worker:
        worker.wait_until_ready(processes=2)
        publish_many(
            [("depot.call.n", {"n": n, "seconds": 0.05, "log": str(log)}) for n in range(40)]
        )
        wait_until(lambda: handled(40), timeout=30, message="40 deliveries")

    ends = [line.split() for line in log.read_text().splitlines() if line.startswith("end")]
    assert sorted(int(n) for _, n, _ in ends) == list(range(40))
    assert len({pid for *_, pid in ends}) == 2


def test_the_processes_end_with_their_supervisor(tmp_path):
    """A killed supervisor leaves no process behind that nobody watches."""
    with processes.worker(tmp_path) as worker:
        worker.wait_until_ready()
        (child,) = wait_until(worker.children, message="the heartbeat")
        worker.process.kill()
        worker.wait()

        wait_until(lambda: not _alive(child), timeout=20, message="the child to end")


def test_a_handler_that_runs_longer_than_the_lease_runs_once(tmp_path):
    """The heartbeat keeps the lease of a running handler alive."""
    log = tmp_path / "calls"
    with processes.worker(tmp_path, LEASE=1) as worker:
        worker.wait_until_ready()
        publish("depot.call.slow", {"seconds": 4, "log": str(log)})
        wait_until(lambda: handled(1), timeout=20, message="the long handler")

    assert lines(log) == ["begin", "end"]
    assert Delivery.objects.get().crashes == 0


def test_a_long_handler_does_not_hold_up_another_worker(tmp_path):
    """What waits in vain for a thread goes back to its queue, for a worker that has one."""
    log, until = tmp_path / "calls", tmp_path / "until"
    with processes.worker(tmp_path, "--threads", "1") as worker:
        worker.wait_until_ready()
        publish("depot.call.long", {"n": 1, "until": str(until), "log": str(log)})
        wait_until(lambda: "begin" in lines(log), message="the long handler")
        publish("depot.call.short", {"n": 2, "log": str(log)})
        with processes.worker(_second(tmp_path), "--threads", "1"):
            wait_until(
                lambda: "end 2" in log.read_text(), timeout=60, message="the short one to end"
            )
        until.touch()


def test_a_burst_of_some_queues_does_not_wait_for_the_others(tmp_path):
    """``--queues``: what waits on another queue keeps nobody from being done."""
    publish("depot.write.row", {})

    with processes.worker(tmp_path, "--burst", "--queues", "write_queue") as worker:
        assert worker.wait() == 0, worker.printed()

    assert handled(1)
    assert Message.objects.get().queue == "audit_queue"


@pytest.mark.parametrize("command", ["run_router_worker", "run_router_relay"])
def test_a_forgotten_migrate_is_one_sentence(tmp_path, command):
    """Without the tables nothing starts, and the sentence names the command to run."""
    empty = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty.sqlite3")}
    done = subprocess.run(
        [sys.executable, "-m", "django", command],
        env={**processes.environment(), "DEPOT_DATABASE": json.dumps(empty)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_queue_is_refused_at_the_start(tmp_path):
    """A wrong option is a sentence that names it and what there is."""
    with processes.worker(tmp_path, "--queues", "nonsense") as worker:
        assert worker.wait() == 1
    assert "nonsense" in worker.printed()
    assert "write_queue" in worker.printed()


def _second(tmp_path: Path) -> Path:
    """A folder for the log of a second worker."""
    folder = tmp_path / "second"
    folder.mkdir()
    return folder


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_conflict_on_the_broker_ends_the_command(tmp_path, empty_rabbitmq_url):
    """Nobody started in its place would fare better: a sentence, and an exit code that is seen."""
    with Connection(empty_rabbitmq_url) as connection:
        Exchange("events", type="fanout", channel=connection).declare()

    options = {"BROKER_URL": empty_rabbitmq_url}
    with processes.worker(tmp_path, "--processes", "2", **options) as worker:
        assert worker.wait() == 1, worker.printed()

    said = worker.printed()
    assert 1 <= said.count("Exchange 'events' exists on") <= 2, said  # each process says it once
    assert "replacing it" not in said
    assert "Traceback" not in said
