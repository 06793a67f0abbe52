"""What does it cost the caller to publish one event?"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping

from benchmarks.bench import programs, rabbit
from benchmarks.bench.model import Case, Figures, Miscounted, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.postgres import Database
from benchmarks.bench.site.publishing import MADE

Arrived = Callable[[Place], int]


def _side(
    name: str, system: str, env: Callable[[Place], Mapping[str, str]], arrived: Arrived, text: str
) -> Side:
    def measure(place: Place) -> Figures:
        rabbit.clean(place.rabbitmq_url)
        times = json.loads(programs.run(programs.site("publishing", system), env(place)))
        if (found := arrived(place)) != MADE:
            raise Miscounted(f"{MADE} were published, {found} arrived.")
        return {"median": statistics.median(times)}

    return Side(name=name, measure=measure, settings=text)


def _rows(query: str) -> Arrived:
    def count(place: Place) -> int:
        database = Database(place.database_url)
        found = database.number(query)
        database.close()
        return found

    return count


def _prepared(place: Place) -> Mapping[str, str]:
    """Let PostgreSQL keep our statements prepared."""
    return {**place.our_env("handler"), "BENCH_DATABASE_OPTIONS": '{"prepare_threshold": 5}'}


OURS = _rows("SELECT count(*) FROM taskrouting_message")
IN_TRANSACTION = "a hundred calls in each transaction; the time of the call alone"

CASE = Case(
    name="publish",
    title="publish one event, as the caller feels it",
    units={"median": "µs"},
    sides=[
        _side("ours", "ours", lambda place: place.our_env("handler"), OURS,
              f"`publish()`, {IN_TRANSACTION}"),
        _side("ours, prepared", "ours", _prepared, OURS,
              "the same, with the database's option `prepare_threshold` 5"),
        _side("ours, publish_many", "ours_many", lambda place: place.our_env("handler"), OURS,
              "`publish_many()` of 100 in a transaction, a hundredth of its time"),
        _side("celery", "celery", lambda place: place.env("noop"),
              lambda place: rabbit.settled_depth(place.rabbitmq_url, "celery_queue", MADE),
              "`.delay()` to RabbitMQ, persistent, without confirms, as is the default"),
        _side("django-domain-events", "domain_events",
              lambda place: place.env("noop", apps="django_domain_events"),
              _rows("SELECT count(*) FROM django_domain_events_deliveryrecord"),
              f"`fire()` with one durable receiver, {IN_TRANSACTION}"),
        _side("oban", "oban", lambda place: place.env("noop"),
              _rows("SELECT count(*) FROM oban_jobs"),
              f"`enqueue(conn=)`, {IN_TRANSACTION}"),
    ],
    targets=[
        Target(ours="ours", peer="celery", figure="median", at_most=0.45),
        Target(ours="ours, prepared", peer="celery", figure="median", at_most=0.45),
        Target(ours="ours, publish_many", peer="celery", figure="median", at_most=0.15),
        Target(ours="ours", peer="django-domain-events", figure="median", at_most=0.2),
        Target(ours="ours, prepared", peer="django-domain-events", figure="median", at_most=0.2),
        Target(ours="ours", peer="oban", figure="median", at_most=0.7),
        Target(ours="ours, prepared", peer="oban", figure="median", at_most=0.7),
    ],
)  # fmt: skip
