"""Run a long run: ``python -m benchmarks.long_run --broker rabbitmq --events 200000``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django

from benchmarks.chaos import servers

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "long_run.jsonl"

#: The brokers that are tried; the database is PostgreSQL.
BROKERS = {"postgres": None, "rabbitmq": servers.RabbitMQ}
KINDS = ("write", "call", "wait", "bulk")

#: Events after which memory is looked at first; and by how much it may have grown in the end.
WARM, GROWTH = 20_000, 0.10

#: Events published together, and how many may wait at most.
AT_ONCE, WAITING = 500, 4_000

#: Seconds between two looks, and until a run that does not advance is given up.
LOOK_EVERY, STUCK = 0.5, 120.0


def main() -> int:
    """Run on each broker; 1 says that memory has grown, or that a run stood still."""
    options = _options()
    if options.broker == "all":
        return max(_in_a_process_of_its_own(broker) for broker in BROKERS)
    with installation(options.broker) as log:
        result = measure(options.broker, options.events, log)
    growth = result["end_mib"] / result["warm_mib"] - 1
    print(
        f"{result['broker']}: {result['events']:,} events in {result['seconds']:.0f} s; resident "
        f"memory {result['warm_mib']:.1f} MiB after {result['warm']:,} events, "
        f"{result['end_mib']:.1f} MiB at the end ({growth:+.1%}; allowed {GROWTH:+.0%})",
        flush=True,
    )
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a") as results:
        results.write(json.dumps(result) + "\n")
    return int(growth > GROWTH)


@contextmanager
def installation(broker: str) -> Iterator[Path]:
    """Servers of our own, tables, and one worker process; yields the worker's log."""
    with ExitStack() as stack:
        database = stack.enter_context(servers.running(servers.Postgres))
        kind = BROKERS[broker]
        url = stack.enter_context(servers.running(kind)).url if kind else "django://"
        settings = {"BROKER_URL": url, "SOURCE": "long-run", "EXCHANGE": "long_run"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.long_run.settings"
        os.environ["LONG_RUN_DATABASE_URL"] = database.url
        os.environ["LONG_RUN_TASKROUTING"] = json.dumps(settings)
        os.environ["PYTHONPATH"] = str(ROOT)
        _manage("migrate", "--verbosity=0")
        _manage("declare_topology")
        log = Path(tempfile.mkdtemp(prefix="long-run-")) / "worker.log"
        print(f"{broker}: what the worker says is in {log}", flush=True)
        stack.enter_context(_worker(log))
        django.setup()
        yield log


def measure(broker: str, events: int, log: Path) -> dict[str, Any]:
    """Publish ``events`` events, and look at the worker's memory on the way."""
    began = time.monotonic()
    warm = min(WARM, events // 2)
    published = handled = 0
    sizes: dict[int, float] = {}
    while handled < events:
        while published < events and published - handled < WAITING:
            published += _publish(min(AT_ONCE, events - published))
        time.sleep(LOOK_EVERY)
        handled = _advanced(handled, log)
        if handled >= warm and warm not in sizes:
            sizes[warm] = _worker_mib()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "broker": broker,
        "events": events,
        "seconds": round(time.monotonic() - began, 1),
        "warm": warm,
        "warm_mib": sizes[warm],
        "end_mib": _worker_mib(),
    }


def _publish(count: int) -> int:
    from taskrouting import publish_many

    publish_many([(f"run.{KINDS[n % len(KINDS)]}", {"n": n}) for n in range(count)])
    return count


def _advanced(before: int, log: Path) -> int:
    """How many deliveries are handled, as soon as that has changed."""
    from taskrouting.models import Delivery

    deadline = time.monotonic() + STUCK
    while (handled := Delivery.objects.filter(state="handled").count()) == before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nothing was handled for {STUCK:g} s; see {log}.")
        time.sleep(LOOK_EVERY)
    return handled


def _worker_mib() -> float:
    """Resident memory of the one worker process, which must still be the first."""
    from taskrouting.models import WorkerProcess

    pid = WorkerProcess.objects.get().pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGESIZE") / (1 << 20), 1)


@contextmanager
def _worker(log: Path) -> Iterator[None]:
    with open(log, "wb") as output:
        command = [sys.executable, "-m", "django", "run_router_worker"]
        worker = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def _manage(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "django", *command], check=True)


def _in_a_process_of_its_own(broker: str) -> int:
    """Django is set up once per process, on one database."""
    command = [sys.executable, "-m", "benchmarks.long_run", *sys.argv[1:], "--broker", broker]
    return subprocess.run(command, check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.long_run", description=__doc__)
    parser.add_argument("--broker", choices=[*BROKERS, "all"], default="all")
    parser.add_argument("--events", type=int, default=200_000)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
