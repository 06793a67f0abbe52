"""What of Redis's weaknesses does anybody notice? Of these, nothing.

It pops before it records, keeps nothing on disk by default, and publishes into nothing without an
error where nobody has declared anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from kombu.transport.redis import Mutex

from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.transport import broker
from tests.acceptance.scenes import HURRIED_WATCH, PATIENCE, REDIS, Scene, away, scene
from tests.acceptance.test_worker import depot
from tests.processes import Worker
from tests.services import empty_redis
from tests.waiting import wait_until

__all__ = ["away", "depot", "scene"]

pytestmark = [
    pytest.mark.usefixtures("depot"),
    pytest.mark.faults,
    pytest.mark.parametrize("away", [REDIS], indirect=True),
]


def test_a_relay_that_was_here_first_publishes_into_every_queue(
    scene: Scene, tmp_path: Path
) -> None:
    """No worker has ever declared anything: the relay has, before its first message."""
    scene.publish_both()
    patient = {**scene.settings, "LEASE": 60}
    relay = Worker(tmp_path / "log", "--burst", command="run_router_relay", **patient)
    assert relay.wait(PATIENCE) == 0, relay.printed()

    with redis.Redis.from_url(scene.broker_url) as server:
        queues = ("write_queue", "call_queue", "audit_queue")
        assert [waiting(server, name) for name in queues] == [1, 1, 2]


def test_a_redis_that_forgets_everything_loses_nothing(scene: Scene, tmp_path: Path) -> None:
    """FLUSHDB under worker and relay: all that nobody has received is sent again.

    What waits in the queues, what is held, and who is bound to what: it is all gone.
    """
    log, bindings = tmp_path / "calls", f"_kombu.binding.{scene.settings['EXCHANGE']}"
    with (
        redis.Redis.from_url(scene.broker_url) as server,
        scene.worker(tmp_path, "--threads", "1", "--prefetch", "2", hurry=HURRIED_WATCH) as worker,
    ):
        worker.wait_until_ready()
        scene.publish("depot.call.slow", seconds=3, log=str(log))
        wait_until(lambda: log.exists(), timeout=PATIENCE, message="the handler to begin")
        for _ in range(20):
            scene.publish_both()
        wait_until(lambda: waiting(server, "write_queue") > 5, timeout=PATIENCE, message="a queue")

        empty_redis(scene.broker_url)

        scene.wait_until_handled(41)
        wait_until(lambda: not scene.rows(Message).exists(), timeout=PATIENCE)
        wait_until(lambda: server.smembers(bindings), timeout=PATIENCE, message="the bindings")
    rows = scene.rows(Delivery).values_list("state", "attempts", "crashes")
    assert set(rows) == {("handled", 1, 0)}
    assert not scene.rows(DeadLetter).exists()


def test_who_dies_while_giving_back_keeps_nobody_from_it(scene: Scene, tmp_path: Path) -> None:
    """A lock guards what dead workers held and is given back; that of a dead one lapses soon."""
    scene.publish("depot.write.row")
    only_redis = {**scene.settings, "OUTBOX_KEEP": "until_confirmed"}
    relay = Worker(tmp_path / "log", "--burst", command="run_router_relay", **only_redis)
    assert relay.wait(PATIENCE) == 0, relay.printed()

    with broker.current().connect() as dying, dying.channel() as channel:
        assert channel.basic_get("write_queue") is not None
        lock = Mutex(channel.client, channel.unacked_mutex_key, channel.unacked_mutex_expire)
        with lock, scene.worker(tmp_path, OUTBOX_KEEP="until_confirmed"):
            scene.wait_until_handled(1)


def waiting(server: redis.Redis, queue: str) -> int:
    """How much waits in a queue, over all priorities."""
    return sum(server.llen(key) for key in server.keys(f"{queue}*"))
