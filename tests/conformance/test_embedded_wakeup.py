"""``django://``: how does a waiting worker learn of a commit? It is told; if not, it looks."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from taskrouting.transport import database, wakeup
from tests.conformance.deaf_proxy import deaf_proxy
from tests.conformance.installation import TICK, Installation, identities
from tests.conformance.places import EMBEDDED, POSTGRES, SQLITE, added
from tests.waiting import wait_until

#: Longer than any test waits: who hears of a commit before has been told of it.
NEVER = 300.0

#: Commits whose way to the consumer is timed.
TIMED = 15


def beside(work: Callable[[], Any]) -> threading.Thread:
    """Run ``work`` in another thread, on database connections of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not look at the table every second."""
    monkeypatch.setattr(database, "SAFETY_POLL", NEVER)


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
@pytest.mark.usefixtures("no_polling")
def test_a_commit_wakes_a_waiting_consumer(
    installation: Installation, record_property: Callable[[str, object], None]
) -> None:
    """A consumer that waits is told of every commit; the time this takes is recorded."""
    queue = installation.queue("video.#")
    latencies = []
    with installation.taking(queue) as taker:
        installation.send("video.first")
        taker.take_and_acknowledge()
        for _ in range(TIMED):
            committed: list[float] = []

            def publish(committed: list[float] = committed) -> None:
                installation.publish("video.upload")
                committed.append(time.monotonic())

            thread = beside(publish)
            taker.take_and_acknowledge()
            arrived = time.monotonic()
            thread.join()
            latencies.append(arrived - committed[0])

    record_property("median commit-to-drain latency, ms", statistics.median(latencies) * 1000)
    assert statistics.median(latencies) < 0.5


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
@pytest.mark.usefixtures("no_polling")
def test_what_was_committed_before_anyone_waited_is_found(installation: Installation) -> None:
    """A commit between the last look and the first wait is not slept over."""
    queue = installation.queue("video.#")
    waiter = wakeup.waiter(installation.alias)
    installation.send("video.upload")
    try:
        assert waiter.wait(0.01)
    finally:
        waiter.close()
    with installation.taking(queue) as taker:
        taker.take_and_acknowledge()


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
@pytest.mark.usefixtures("no_polling")
def test_a_message_that_falls_due_wakes_a_waiting_consumer(installation: Installation) -> None:
    """Nobody commits anything when a delay or a lease runs out: the consumer knows the time."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload", delay=0.3)
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
def test_a_waiter_without_news_says_so(installation: Installation) -> None:
    """It waits for as long as it may, and reports nothing."""
    waiter = wakeup.waiter(installation.alias)
    try:
        while waiter.wait(0.01):
            pass
        began = time.monotonic()
        assert not waiter.wait(0.2)
        assert time.monotonic() - began >= 0.2
    finally:
        waiter.close()


@contextmanager
def listening(alias: str) -> Iterator[psycopg.Connection[Any]]:
    """Listen for our notifications on a plain connection to PostgreSQL."""
    parameters = connections[alias].get_connection_params()
    wanted = ("dbname", "user", "password", "host", "port")
    known = {key: parameters[key] for key in wanted if parameters.get(key)}
    with psycopg.connect(autocommit=True, **known) as connection:
        connection.execute(f"LISTEN {wakeup.CHANNEL}")
        yield connection


def heard(connection: psycopg.Connection[Any], seconds: float = 0.2) -> int:
    """Count the notifications that come."""
    return len(list(connection.notifies(timeout=seconds)))


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_transaction_notifies_once_and_after_its_commit(installation: Installation) -> None:
    """However much it publishes, in whatever savepoints; rolled back, it says nothing."""
    installation.queue("video.#")
    with listening(installation.alias) as listener:
        with transaction.atomic(using=installation.alias):
            for _ in range(3):
                installation.publish("video.upload")
            with transaction.atomic(using=installation.alias):
                installation.publish("video.upload")
            assert heard(listener) == 0
        assert heard(listener) == 1

        with transaction.atomic(using=installation.alias):
            installation.publish("video.upload")
            transaction.set_rollback(True, using=installation.alias)
        assert heard(listener) == 0


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_savepoint_that_is_rolled_back_takes_only_its_own_notification_along(
    installation: Installation,
) -> None:
    """What is published after it is told of all the same."""
    installation.queue("video.#")
    with listening(installation.alias) as listener:
        with transaction.atomic(using=installation.alias):
            with transaction.atomic(using=installation.alias):
                installation.publish("video.upload")
                transaction.set_rollback(True, using=installation.alias)
            installation.publish("video.upload")
        assert heard(listener) == 1


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
@pytest.mark.usefixtures("no_polling")
def test_a_listener_that_was_cut_off_listens_again(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so, looks by itself meanwhile, and is told of commits again soon."""
    queue = installation.queue("video.#")
    with installation.taking(queue) as taker:
        installation.send("video.first")
        taker.take_and_acknowledge()
        assert not taker.receiver.drain(0.05)
        assert cut_off_listeners(installation) == 1
        event = installation.send("video.upload")
        assert identities(taker.take_and_acknowledge()) == [event.id]
        taker.receiver.drain(0.2)
        assert "Lost the LISTEN connection" in caplog.text

        wait_until(lambda: not taker.receiver.drain(0.05) and listeners(installation))


def listeners(installation: Installation) -> list[int]:
    """The connections that wait for our notifications."""
    with connections[installation.alias].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state = 'idle' AND query = %s",
            [f"LISTEN {wakeup.CHANNEL}"],
        )
        return [pid for (pid,) in cursor.fetchall()]


def cut_off_listeners(installation: Installation) -> int:
    """Cut them off; return how many there were."""
    pids = listeners(installation)
    with connections[installation.alias].cursor() as cursor:
        for pid in pids:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(pids)


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
@pytest.mark.usefixtures("no_polling")
def test_where_no_notification_arrives_we_look_ourselves(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind a pooler in transaction mode LISTEN hears nothing: that is found out, and said."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload", delay=0.3)
    settings = connections[installation.alias].settings_dict
    with deaf_proxy(settings["HOST"], int(settings["PORT"] or 5432)) as port:
        options = {**settings["OPTIONS"], "sslmode": "disable"}
        pooler = {**settings, "HOST": "127.0.0.1", "PORT": port, "OPTIONS": options}
        monkeypatch.setitem(connections.settings, installation.alias, pooler)
        with installation.taking(queue) as taker:
            assert identities(taker.take_and_acknowledge()) == [event.id]
            thread = beside(lambda: installation.publish("video.upload"))
            taker.take_and_acknowledge()
            thread.join()

    assert caplog.text.count("NOTIFY does not arrive") == 1


@pytest.mark.parametrize("place", [SQLITE], indirect=True)
def test_a_database_in_memory_is_looked_at(installation: Installation) -> None:
    """Nobody else can commit to it, so nobody can tell: there is always something to look for."""
    settings = connections[installation.alias].settings_dict
    with added("memory", {"ENGINE": settings["ENGINE"], "NAME": ":memory:"}):
        waiter = wakeup.waiter("memory")
        assert waiter.wait(NEVER)
        waiter.close()


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_message_costs_one_claim(installation: Installation) -> None:
    """What was claimed with room to spare is not looked for again, nor is the connection tried."""
    queue = installation.queue("video.#")
    installation.declare()
    with installation.taking(queue) as taker:
        taker.receiver.drain(TICK)
        with CaptureQueriesContext(connections[installation.alias]) as asked:
            event = installation.publish("video.upload")
            arrivals = taker.take()
            taker.receiver.drain(TICK)
            taker.receiver.drain(TICK)

        assert identities(arrivals) == [event.id]
        statements = [query["sql"] for query in asked.captured_queries]
        assert sum("SET claim" in statement for statement in statements) == 1
        assert [each for each in statements if each.strip() == "SELECT 1"] == []
