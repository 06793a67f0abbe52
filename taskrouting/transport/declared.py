"""Which bindings have we made on the broker? What must be unbound has to be remembered by name.

Only for brokers outside the database; the embedded one's bindings are its own rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from taskrouting.routing.topology import Binding, Topology

from . import models


def bindings(broker: str, exchange: str, *, using: str) -> set[Binding]:
    """Return what was bound to ``exchange`` and not unbound since; ``""`` is the embedded broker.

    ``broker`` is Kombu's name of the transport.
    """
    made = models.Binding.objects.using(using).filter(broker=broker, exchange=exchange)
    return {Binding(pattern, queue) for pattern, queue in made.values_list("pattern", "queue")}


def remember(broker: str, topology: Topology, *, using: str) -> None:
    """Write down the bindings of ``topology``; those that are known are not written again."""
    new = set(topology.bindings) - bindings(broker, topology.exchange, using=using)
    rows = [
        models.Binding(
            broker=broker, exchange=topology.exchange, pattern=each.pattern, queue=each.queue
        )
        for each in sorted(new, key=lambda each: (each.queue, each.pattern))
    ]
    models.Binding.objects.using(using).bulk_create(rows, ignore_conflicts=True)


def forget(broker: str, exchange: str, gone: Iterable[Binding], *, using: str) -> None:
    """Strike out bindings that are no more."""
    made = models.Binding.objects.using(using).filter(broker=broker, exchange=exchange)
    for each in gone:
        made.filter(pattern=each.pattern, queue=each.queue).delete()
