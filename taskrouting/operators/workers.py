"""How does an operator stop a worker process? By asking it, in its own row; it looks by itself.

It stops as on SIGTERM: it takes nothing more, finishes what runs within the grace, and hands back
the rest. After ``restart`` its supervisor starts a fresh process in its place, after ``stop`` none.
"""

from __future__ import annotations

from django.db import transaction

from taskrouting import conf, context, events
from taskrouting.consuming import presence
from taskrouting.consuming.models import WorkerProcess

from .telling import RESTARTED, STOPPED, acting, tell

TOLD = {WorkerProcess.Order.RESTART: RESTARTED, WorkerProcess.Order.STOP: STOPPED}


def stop(worker: WorkerProcess, *, actor: str | None = None) -> bool:
    """Ask ``worker`` to stop for good; return False when it is gone or was asked before.

    When the last process of a ``run_router_worker`` has stopped, the command ends with 0.
    ``actor`` says who asks where the context does not.
    """
    return _ask(worker, WorkerProcess.Order.STOP, actor)


def restart(worker: WorkerProcess, *, actor: str | None = None) -> bool:
    """Ask ``worker`` to make room for a fresh process; return False as ``stop`` does."""
    return _ask(worker, WorkerProcess.Order.RESTART, actor)


def _ask(worker: WorkerProcess, order: WorkerProcess.Order, actor: str | None) -> bool:
    with acting(actor), transaction.atomic(using=conf.current().database):
        who = (context.current().actor or "")[: events.MAX_LENGTH]
        if not presence.ask(worker.name, order, who):
            return False
        told = {"worker": worker.name, "host": worker.host, "pid": worker.pid}
        subject = f"{WorkerProcess._meta.label_lower}/{worker.name}"[: events.MAX_LENGTH]
        tell(TOLD[order], told, subject=subject)
    return True
