"""What do a worker's port and file say while things go wrong? Asked from outside, as a probe is."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taskrouting import publish, publish_many
from taskrouting.models import Delivery
from tests import processes
from tests.example import free_port
from tests.proxy import proxy
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def ask(port: int, path: str) -> tuple[int, str]:
    """The status and the body of an answer; 0 where nobody answers yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0, ""


def wait_for(port: int, path: str, status: int) -> str:
    """Wait for an answer with ``status``; return its body."""
    wait_until(lambda: ask(port, path)[0] == status, timeout=30, message=f"{status} from {path}")
    return ask(port, path)[1]


def figure(port: int, name: str) -> float:
    """The sum of a metric over its labels."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", ask(port, "metrics")[1], re.MULTILINE)
    return sum(map(float, found))


def handled(port: int) -> float:
    """How many copies have been handled, as the port tells it."""
    labels = r'\{outcome="handled",queue="write_queue".*\}'
    return figure(port, f"taskrouting_deliveries_total{labels}")


@pytest.mark.services
def test_a_broker_that_is_away_costs_readiness_and_not_the_life(
    empty_rabbitmq_url, settings, tmp_path, unique_name
):
    """Who is restarted for a broker that is away comes back to nothing better."""
    parts, port = urlsplit(empty_rabbitmq_url), free_port()
    with proxy(parts.hostname or "127.0.0.1", parts.port or 5672) as door:
        credentials = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{credentials}@127.0.0.1:{door.port}").geturl()
        options = {"BROKER_URL": url, "EXCHANGE": unique_name}
        settings.TASKROUTING = {"SOURCE": "tests", **options}
        with processes.worker(tmp_path, "--health-port", str(port), **options):
            wait_for(port, "health/ready", 200)

            door.close_door()
            told = json.loads(wait_for(port, "health/ready", 503))
            assert told["ready"] is False
            assert f"127.0.0.1:{door.port}" in str(told["reasons"])
            assert "pid " in told["reasons"][0]
            assert ask(port, "health/live")[0] == 200

            door.open_door()
            wait_for(port, "health/ready", 200)
            assert ask(port, "health/live")[0] == 200
    assert ask(port, "health/live")[0] == 0


def test_counts_of_several_processes_add_up_though_one_is_killed(tmp_path):
    """Counters go on where the process stopped that has been replaced, and never back."""
    port = free_port()
    options = ("--processes", "2", "--metrics-port", str(port), "--health-port", str(port))
    with processes.worker(tmp_path, *options, LEASE=5):
        wait_for(port, "health/ready", 200)
        publish_many([("depot.write.row", {"n": n}) for n in range(20)])
        wait_until(lambda: handled(port) == 20, timeout=30, message="twenty in the metrics")

        publish("depot.call.row", {"kill": str(tmp_path / "killed")})
        wait_until(
            lambda: figure(port, "taskrouting_processes_started_total") == 3,
            timeout=30,
            message="a third process",
        )
        assert handled(port) == 20
        publish_many([("depot.write.row", {"n": n}) for n in range(5)])
        wait_until(lambda: handled(port) == 25, timeout=30, message="five more")

        assert figure(port, "taskrouting_processes_live") == 2
        assert figure(port, "taskrouting_outbox_pending") == 0
        assert ask(port, "")[0] == 404
    assert Delivery.objects.filter(queue="write_queue", state="handled").count() == 25


def test_who_does_not_go_on_touches_no_file_and_is_not_ready(tmp_path):
    """Neither does anybody for it: one process of two that stands still is enough."""
    port, file = free_port(), tmp_path / "alive"
    options = ("--processes", "2", "--health-port", str(port), "--health-file", str(file))
    with processes.worker(tmp_path, *options) as worker:
        wait_for(port, "health/ready", 200)
        touched(file)
        stopped = worker.children()[0]

        os.kill(stopped, signal.SIGSTOP)
        try:
            told = wait_for(port, "health/ready", 503)
            assert f"(pid {stopped}): has reported nothing" in told
            # It was silent for five seconds by then, and the other one was not.
            assert time.time() - file.stat().st_mtime > 3
            assert ask(port, "health/live")[0] == 200
        finally:
            os.kill(stopped, signal.SIGCONT)
        wait_for(port, "health/ready", 200)
        touched(file)


def touched(file: Path) -> None:
    """Wait until the file is touched, once more."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    wait_until(lambda: file.exists() and file.stat().st_mtime_ns > before, message="a touch")
