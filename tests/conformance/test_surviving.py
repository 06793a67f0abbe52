"""What is left of a message when the process that holds it is killed?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db.models.functions import Now
from kombu import Producer

from taskrouting.transport import receiving
from tests.conformance.installation import PATIENCE, TICK, Installation, identities
from tests.conformance.places import EVERYWHERE, FILESYSTEM, MEMORY, REDIS
from tests.waiting import wait_until

#: Seconds without a sign of life after which a claim, or a delivery, goes to somebody else.
LEASE = 1


@contextmanager
def holder(installation: Installation, queue: str, settle: int) -> Iterator[Iterator[str]]:
    """Run a consumer in a process of its own, and kill it; yields what it says."""
    process = installation.program("-m", "tests.conformance.holder", queue, str(settle))
    assert process.stdout is not None
    try:
        yield (line.strip() for line in process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("place", [each for each in EVERYWHERE if each != MEMORY], indirect=True)
def test_a_killed_process_takes_nothing_along(installation: Installation) -> None:
    """A message lives on when its publisher's connections are closed and its consumer is killed.

    What the dead consumer had acknowledged is gone; what it held comes back and says so. On the
    filesystem it is lost with the consumer: there the row kept in the outbox is sent again.
    """
    installation.configure(LEASE=LEASE)
    queue = installation.queue("video.#")
    settled = installation.send("video.upload")
    held = installation.send("video.upload")
    installation.stop_relaying()

    with holder(installation, queue, settle=1) as said:
        assert next(said) == "ready"
        assert {next(said), next(said)} == {f"{settled.id} False", f"{held.id} False"}

    if installation.name == FILESYSTEM:
        assert not installation.broker.can.durable
        send_again(installation, held.id)
    with installation.taking(queue) as taker:
        again = taker.take_and_acknowledge()[0]
        assert identities([again]) == [held.id]
        assert again.redelivered
    fence = installation.send("video.upload")
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [fence.id]


@pytest.mark.parametrize("place", [REDIS], indirect=True)
def test_a_busy_queue_gives_back_what_a_dead_consumer_held(installation: Installation) -> None:
    """Kombu looks for it only when nothing comes; we look every second."""
    installation.configure(LEASE=LEASE)
    queue = installation.queue("video.#")
    held = installation.send("video.upload")
    installation.stop_relaying()
    with holder(installation, queue, settle=0) as said:
        assert [next(said), next(said)] == ["ready", f"{held.id} False"]

    with installation.taking(queue) as taker, installation.kombu() as connection:
        publish = partial(
            Producer(connection).publish, "busy", routing_key=queue, message_id="busy", priority=9
        )  # as ours are sent: to Redis, 9 is the least urgent

        def came_while_busy() -> bool:
            publish()
            return held.id in identities(taker.take_and_acknowledge(1))

        publish()
        wait_until(came_while_busy, timeout=PATIENCE, message="what the dead consumer held")


@pytest.mark.parametrize("place", [REDIS], indirect=True)
def test_a_neighbour_on_the_same_redis_gives_back_only_what_is_its_own(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another installation is less patient: with Kombu's names it would give back ours too."""
    monkeypatch.setattr(receiving, "CHECK_EVERY", 0.1)
    queue = installation.queue("video.#")
    installation.send("video.upload")
    with installation.taking(queue) as taker:
        taker.take()
        installation.configure(LEASE=LEASE, EXCHANGE=f"{installation.prefix}_other")
        with installation.taking(queue) as neighbour:
            later = time.monotonic() + 3 * LEASE
            wait_until(lambda: neighbour.receiver.drain(TICK) or time.monotonic() > later)
        assert neighbour.arrivals == []


@pytest.mark.parametrize("place", [MEMORY], indirect=True)
def test_what_memory_forgets_is_sent_again(installation: Installation) -> None:
    """memory:// is one process's: what it forgets with the process still waits in the outbox."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    assert not installation.broker.can.shared and not installation.broker.can.durable
    installation.stop_relaying()
    forget(installation, queue)

    send_again(installation, event.id)

    with installation.taking(queue) as taker:
        again = taker.take_and_acknowledge()[0]
    assert identities([again]) == [event.id]
    assert again.redelivered


def forget(installation: Installation, queue: str) -> None:
    """Do to memory:// what the end of its process does."""
    with installation.kombu() as connection:
        connection.default_channel.queue_purge(queue)


def send_again(installation: Installation, event_id: str) -> None:
    """Let the time pass after which the relay sends what nobody has received."""
    waiting = installation.waiting().filter(event_id=event_id)
    assert waiting.update(available_at=Now()) == 1
    installation.relay()
