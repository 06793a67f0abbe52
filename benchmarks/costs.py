"""How much processor time does an event cost, and whose? ``python -m benchmarks.costs``.

Each stage runs by itself, on a PostgreSQL and a RabbitMQ of its own, so that what they use can be
counted: publish, relay, audit, handle. The time is what the kernel has noted for each program and
its children, less that of the same program with nothing to do. It says what a stage needs of a
machine's cores, and hardly depends on what else the machine is doing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench import programs
from benchmarks.bench.recording import machine
from benchmarks.chaos import processes, servers

RESULTS = programs.ROOT / "benchmarks" / "results" / "costs.jsonl"

#: Events in each run.
EVENTS = 20_000

TICKS = os.sysconf("SC_CLK_TCK")

#: The stages in their order, and the program that does each.
STAGES = {
    "publish": programs.site("enqueue", "ours"),
    "relay": programs.manage("run_router_relay", "--burst"),
    "audit": programs.manage("run_router_worker", "--burst", "--no-relay", "--queues",
                             "audit_queue", "--processes", "2"),
    "handle": programs.manage("run_router_worker", "--burst", "--no-relay", "--queues",
                              "bench_queue", "--processes", "2"),
}  # fmt: skip


def main() -> int:
    """Run every stage, print and note microseconds per event."""
    options = _options()
    with (
        servers.running(servers.Postgres) as postgres,
        servers.running(servers.RabbitMQ) as rabbitmq,
    ):
        env = _environment(postgres, rabbitmq)
        programs.run(programs.manage("migrate", "--run-syncdb", "--verbosity=0"), env)
        programs.run(programs.manage("declare_topology"), env)
        nothing = _round(env, [postgres, rabbitmq], 0)
        some = _round(env, [postgres, rabbitmq], options.events)
    costs = {
        stage: {who: (used[who] - nothing[stage][who]) / options.events * 1e6 for who in used}
        for stage, used in some.items()
    }
    for stage, cost in costs.items():
        print(f"{stage:8}", "  ".join(f"{who} {micros:6.0f} µs" for who, micros in cost.items()))
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "events": options.events,
              "costs": costs, "machine": machine()}  # fmt: skip
    with open(RESULTS, "a") as results:
        results.write(json.dumps(result) + "\n")
    return 0


def _environment(postgres: servers.Postgres, rabbitmq: servers.RabbitMQ) -> dict[str, str]:
    settings = {"BROKER_URL": rabbitmq.url, "SOURCE": "bench", "EXCHANGE": "bench"}
    return {
        "BENCH_JOB": "handler",
        "BENCH_DATABASE_URL": postgres.url,
        "BENCH_BROKER_URL": "",
        "BENCH_APPS": "taskrouting",
        "BENCH_TALLY": str(postgres.folder / "tally"),
        "BENCH_STAMPS": str(postgres.folder / "stamps"),
        "BENCH_TASKROUTING": json.dumps(settings),
    }


def _round(
    env: Mapping[str, str], own: Sequence[servers.Server], events: int
) -> dict[str, dict[str, float]]:
    """Seconds of processor time that each stage took for so many events, and whose."""
    used = {}
    for stage, command in STAGES.items():
        before = _clock(own)
        programs.run([*command, str(events)] if stage == "publish" else command, env)
        used[stage] = {who: seconds - before[who] for who, seconds in _clock(own).items()}
    return used


def _clock(own: Sequence[servers.Server]) -> dict[str, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "program": children.ru_utime + children.ru_stime,
        **{server.name: _of_family(server) for server in own},
    }


def _of_family(server: servers.Server) -> float:
    """Seconds used by the server, its children, and those of them that have ended."""
    ticks = 0
    for pid in processes.family(server.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.costs", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
