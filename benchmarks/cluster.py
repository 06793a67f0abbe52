"""What does a cluster of three RabbitMQ nodes cost us when the leader of our queues is killed?

``python -m benchmarks.cluster``: three nodes on three ports, quorum queues, a worker command with
two processes and the relay, and a publisher that goes on all the time. First the node is killed
that leads the queues, and then the one that everybody is connected to; each comes back. In the end
the books must balance; how long nothing was recorded is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import django

from benchmarks.chaos import servers

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "cluster.jsonl"

#: Events per second, and how many of them are published together.
RATE, AT_ONCE = 500, 25

#: Seconds before and after each kill, and until a run that does not end is given up.
QUIET, STUCK = 15.0, 180.0

QUEUES = ("audit_queue", "write_queue")


class Node(servers.RabbitMQ):
    """A node of the cluster: all of them share one cookie."""

    def start(self) -> None:
        """Start it with the cookie by which the nodes know each other."""
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("cluster")
            cookie.chmod(0o400)
        super().start()

    def join(self, first: Node) -> None:
        """Become a member of the cluster that ``first`` is in."""
        for words in (["stop_app"], ["reset"], ["join_cluster", first.node], ["start_app"]):
            self.control(*words)

    @property
    def node(self) -> str:
        """The name by which Erlang knows it."""
        return f"chaos{self.port}@localhost"

    def leaders(self) -> dict[str, str]:
        """Return which node leads each of our queues."""
        told = json.loads(self.control("list_queues", "name", "leader", "--formatter", "json"))
        return {each["name"]: each["leader"] for each in told if each["name"] in QUEUES}


@dataclass(frozen=True)
class Kill:
    """A node that was killed, and when."""

    what: str
    at: datetime


def main() -> int:
    """Run once; 1 says that the books do not balance."""
    options = _options()
    with ExitStack() as stack:
        database = stack.enter_context(servers.running(servers.Postgres))
        nodes = [stack.enter_context(servers.running(Node)) for _ in range(3)]
        for node in nodes[1:]:
            node.join(nodes[0])
        _set_up(database, nodes)
        kills, published = _load(nodes, options.rate)
        result = _books(published) | {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rate": options.rate,
            "rabbitmq": nodes[1].control("version").strip(),
            "longest_gap_before": round(_longest_gap(None, kills[0].at), 2),
            "pauses": {kill.what: round(_longest_gap(kill.at), 2) for kill in kills},
        }
    print(json.dumps(result, indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a") as results:
        results.write(json.dumps(result) + "\n")
    return int(any(result["violations"].values()))


def _set_up(database: Any, nodes: Sequence[Node]) -> None:
    """Make tables, and the queues through the second node, so that it leads them."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.long_run.settings"
    os.environ["LONG_RUN_DATABASE_URL"] = database.url
    os.environ["PYTHONPATH"] = str(ROOT)
    _configure([nodes[1]])
    _manage("migrate", "--verbosity=0")
    _manage("declare_topology")
    _configure(nodes)
    django.setup()


def _configure(nodes: Sequence[Node]) -> None:
    settings = {"BROKER_URL": ";".join(node.url for node in nodes), "SOURCE": "cluster",
                "EXCHANGE": "cluster"}  # fmt: skip
    os.environ["LONG_RUN_TASKROUTING"] = json.dumps(settings)


def _manage(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "django", *command], check=True)


def _load(nodes: Sequence[Node], rate: int) -> tuple[list[Kill], int]:
    """Publish all the time, kill two nodes on the way; return the kills and the events."""
    log = nodes[0].folder / "worker.log"
    print(f"What the worker says is in {log}", flush=True)
    with open(log, "wb") as output:
        command = [sys.executable, "-m", "django", "run_router_worker", "--processes", "2"]
        worker = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        published = _publish_for(QUIET, rate)
        kills = []
        for what in ("leader", "connected"):
            kill, more = _kill_one(nodes, what, rate)
            kills.append(kill)
            published += more
        _settle(published)
        print(log.read_text()[-3000:])
        return kills, published
    finally:
        worker.terminate()
        worker.wait()


def _kill_one(nodes: Sequence[Node], what: str, rate: int) -> tuple[Kill, int]:
    """Kill the node that leads the queues, or that everybody is connected to; let it return."""
    leaders = nodes[2].leaders()
    lead = Counter(leaders.values()).most_common(1)[0][0]
    victim = nodes[0] if what == "connected" else next(n for n in nodes if n.node == lead)
    print(f"{what}: killing {victim.node}; leaders are {leaders}", flush=True)
    kill = Kill(f"{what} node, {sum(n == victim.node for n in leaders.values())} of "
                f"{len(leaders)} leaders", datetime.now(UTC))  # fmt: skip
    victim.kill()
    published = _publish_for(QUIET, rate)
    victim.start()
    return kill, published + _publish_for(QUIET, rate)


def _publish_for(seconds: float, rate: int) -> int:
    from taskrouting import publish_many

    began, count = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if count < passed * rate:
            publish_many([("run.write", {"n": n}) for n in range(AT_ONCE)])
            count += AT_ONCE
        else:
            time.sleep(AT_ONCE / rate / 2)
    return count


def _settle(published: int) -> None:
    from taskrouting.models import AuditLog, Delivery

    deadline = time.monotonic() + STUCK
    while (AuditLog.objects.count(), Delivery.objects.filter(state="handled").count()) != (
        published,
        published,
    ):
        if time.monotonic() > deadline:
            print("Not everything has arrived; the books say what.", flush=True)
            return
        time.sleep(0.5)


def _books(published: int) -> dict[str, Any]:
    """Count what was promised: one audit row and one effect for each event, and nothing left."""
    from django.contrib.auth.models import Group

    from taskrouting.models import AuditLog, DeadLetter, Delivery, Message

    recorded = Counter(AuditLog.objects.values_list("event_id", flat=True))
    effects = set(Group.objects.values_list("name", flat=True))  # unique by the database
    return {
        "events": published,
        "violations": {
            "lost or ghost audit rows": abs(published - len(recorded)),
            "doubled audit rows": sum(count > 1 for count in recorded.values()),
            "lost or ghost effects": len(recorded.keys() ^ effects),
            "dead letters": DeadLetter.objects.count(),
            "unfinished": Delivery.objects.exclude(state="handled").count(),
            "left": Message.objects.count(),
        },
    }


def _longest_gap(after: datetime | None, before: datetime | None = None) -> float:
    """Seconds for which no audit row was written, at the most, in the time after a kill."""
    from taskrouting.models import AuditLog

    rows = AuditLog.objects.order_by("recorded_at")
    if after:
        end = after + timedelta(seconds=2 * QUIET)
        rows = rows.filter(recorded_at__gte=after, recorded_at__lte=end)
    if before:
        rows = rows.filter(recorded_at__lte=before)
    times = [*([after] if after else []), *rows.values_list("recorded_at", flat=True)]
    return max(((b - a).total_seconds() for a, b in pairwise(times)), default=0.0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.cluster", description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help="Events per second.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
