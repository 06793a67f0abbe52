"""What do probes and Prometheus learn from the web server? Nothing of any event, and no secrets."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from taskrouting import conf
from taskrouting.health import Health

from . import exposition, figures
from .judgement import Verdict

logger = logging.getLogger("taskrouting")

#: An event that has waited so long for its relay tells that something is wrong.
LONGEST_WAIT = timedelta(minutes=5)


@transaction.non_atomic_requests  # else ATOMIC_REQUESTS asks the database before we do
@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Say that this process answers."""
    return _told(Verdict("live"))


@transaction.non_atomic_requests  # else ATOMIC_REQUESTS asks the database before we do
@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Say whether this process can publish, for which it needs its databases and no broker."""
    aliases = conf.current().databases
    return _told(Verdict("ready", [fault for alias in aliases if (fault := _unreachable(alias))]))


@transaction.non_atomic_requests  # else ATOMIC_REQUESTS asks the database before we do
@never_cache
@require_safe
def well(request: HttpRequest) -> HttpResponse:
    """Say whether the whole installation does its work; for monitors, not for load balancers."""
    return _told(Verdict("well", _ills(figures.seen())))


@transaction.non_atomic_requests  # else ATOMIC_REQUESTS asks the database before we do
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Show Prometheus the gauges: what is true of the installation, whichever process is asked."""
    accept = request.headers.get("Accept", "")
    body, content_type = exposition.text(figures.samples(), accept=accept)
    return HttpResponse(body, content_type=content_type)


def _told(verdict: Verdict) -> JsonResponse:
    return JsonResponse(verdict.as_json(), status=verdict.status)


def _unreachable(alias: str) -> str:
    """Say that a database does not answer; why, only the log tells, for anybody may ask us."""
    connection = connections[alias]
    for _ in range(2):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return ""
        except (DatabaseError, InterfaceError) as error:
            fault = str(error).strip()
            if not connection.in_atomic_block:
                connection.close()  # it may only be this connection, kept since it was restarted
    logger.warning("Database %r does not answer: %s", alias, fault)
    return f"database {alias!r} does not answer"


def _ills(seen: Health | None) -> list[str]:
    """Everything that keeps events from being handled."""
    if seen is None:
        return [f"database {conf.current().database!r} does not answer"]
    ills: list[str] = []
    if not seen.broker.reachable:
        ills.append(f"the broker ({seen.broker.kind}) cannot be reached")
    elif not seen.broker.takes_messages:
        ills.append(f"the broker ({seen.broker.kind}) is short of memory or disk space")
    if not any(worker.alive for worker in seen.workers):
        ills.append("no worker is alive")
    for outbox in seen.outboxes:
        if outbox.waiting is None:
            ills.append(f"database {outbox.database!r} does not answer")
        elif outbox.oldest is not None and outbox.oldest > LONGEST_WAIT:
            waits = f"{outbox.oldest.total_seconds():.0f} s"
            ills.append(f"an event in database {outbox.database!r} has waited for {waits}")
    return ills
