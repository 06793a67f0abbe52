"""What is on the broker, and how does it differ from what the code declares?

=================  ================================  =============================================
broker             queues                            bindings
=================  ================================  =============================================
``django://``      its own table                     its own table
AMQP               asked, one by one                 by what we remember: AMQP 0-9-1 has no word
                                                     for listing them
Redis, filesystem  exist where they are bound        the table that all processes share
others             cannot be told                    each process routes by its own code
=================  ================================  =============================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import uuid4

from kombu import Connection
from kombu.exceptions import ChannelError

from taskrouting.exceptions import TopologyConflict
from taskrouting.routing.topology import Binding, Topology

from . import declared, flow
from .broker import Broker, declare_exchange
from .drift import Drift, binding_named, exchange_named, queue_named

#: AMQP's answer to a passive declare of something that is not there.
NOT_FOUND = 404

#: Seconds to wait for an answer; and for what another process of RabbitMQ's says at the same time.
ANSWER, AFTERTHOUGHT = 5.0, 0.1

#: How many messages are ready, and how many consumers there are; ``None`` where nobody can tell.
Counts = tuple[int | None, int | None]

#: What a comparison over AMQP leaves open.
UNLISTED_BY_AMQP = (
    "Whether the bindings are there cannot be asked over AMQP 0-9-1; they are judged by what this "
    "installation has declared before."
)


def drift(broker: Broker, connection: Connection, topology: Topology) -> Drift:
    """Compare the broker with ``topology``, and change nothing.

    Raises BrokerUnavailable when the broker goes away meanwhile.
    """
    if not (broker.can.routes or broker.can.lists_bindings):
        return Drift(unchecked=(_unlisted(broker),))
    with broker.faults(connection):
        bound = _bound(broker, connection, topology.exchange)
        missing, conflicts = _asked(broker, connection, topology)
    wanted = set(topology.bindings)
    extra = bound - wanted
    ours = _ours(broker, topology, extra)
    return Drift(
        missing=(*missing, *(binding_named(each) for each in _sorted(wanted - bound))),
        conflicts=conflicts,
        left_over=_sorted(ours),
        foreign=_sorted(extra - ours),
        unchecked=() if broker.can.lists_bindings else (UNLISTED_BY_AMQP,),
    )


def unbind(
    broker: Broker, connection: Connection, exchange: str, bindings: Iterable[Binding]
) -> None:
    """Remove ``bindings`` from ``exchange``; one that is not there is fine."""
    gone = list(bindings)
    with broker.faults(connection), connection.channel() as channel:
        for each in gone if not broker.can.embedded else ():
            _unbind(broker, channel, exchange, each)
    name = "" if broker.can.embedded else broker.can.name
    declared.forget(name, exchange, gone, using=broker.database)


def waiting(broker: Broker, connection: Connection, queues: Iterable[str]) -> dict[str, int | None]:
    """Count what waits in each of ``queues`` on a broker outside the database.

    ``None`` where there is no such queue, or where the broker keeps it inside one process.
    """
    return {name: ready for name, (ready, _) in counted(broker, connection, queues).items()}


def counted(broker: Broker, connection: Connection, queues: Iterable[str]) -> dict[str, Counts]:
    """Count what is ready in each of ``queues``, and who consumes it, where that can be told."""
    with broker.faults(connection):
        return {name: _counts(broker, connection, name) for name in queues}


def unserved(broker: Broker, connection: Connection, queues: Iterable[str]) -> dict[str, str]:
    """Say of those of ``queues`` that need a consumer with room what they have to say.

    Messages that are ready for it; or, on AMQP, that nobody consumes the queue, whoever thinks so.
    """
    counts = counted(broker, connection, queues)
    return {
        name: f"has {ready} messages ready" if ready else "knows of no consumer"
        for name, (ready, consumers) in counts.items()
        if ready or consumers == 0
    }


def takes_messages(broker: Broker, connection: Connection) -> bool:
    """Ask RabbitMQ whether it takes messages: by one for nobody, which comes back.

    An alarm is not told to those who only ask.
    """
    if not broker.can.confirms:
        return True
    with broker.faults(connection):
        channel, told = connection.channel(), flow.of(connection)
        returned: list[object] = []
        channel.events["basic_return"].add(lambda *message: returned.append(message))
        nobody = channel.prepare_message(b"", headers={})
        channel.basic_publish(nobody, exchange="", routing_key=str(uuid4()), mandatory=True)
        deadline = time.monotonic() + ANSWER
        while not returned and not told.blocked and (left := deadline - time.monotonic()) > 0:
            told.listen(left)
        told.listen(AFTERTHOUGHT)
    return not told.blocked


def _unlisted(broker: Broker) -> str:
    return (
        f"{broker.can.name}:// keeps no bindings that another process could ask for: each process "
        "routes by its own code. So nothing was compared, and nothing can be left over."
    )


def _bound(broker: Broker, connection: Connection, exchange: str) -> set[Binding]:
    """What is bound to ``exchange``: as the broker says, or else as we remember."""
    if broker.can.embedded:
        return declared.bindings("", exchange, using=broker.database)
    if not broker.can.lists_bindings:
        return declared.bindings(broker.can.name, exchange, using=broker.database)
    with connection.channel() as channel:
        return {Binding(pattern, queue) for pattern, _, queue in channel.get_table(exchange)}


def _ours(broker: Broker, topology: Topology, extra: set[Binding]) -> set[Binding]:
    """Those of ``extra`` that belong to queues we declare, or have declared before."""
    if broker.can.embedded:
        return extra
    before = declared.bindings(broker.can.name, topology.exchange, using=broker.database)
    names = {queue.name for queue in topology.queues} | {each.queue for each in before}
    return {each for each in extra if each.queue in names}


def _asked(
    broker: Broker, connection: Connection, topology: Topology
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Ask for exchange and queues; return what is missing, and what has other arguments."""
    if broker.can.embedded:
        return tuple(_without_row(broker, topology)), {}
    if not broker.can.routes:
        return (), {}  # a queue is there as soon as it is bound
    states = {
        exchange_named(topology.exchange): _state(
            connection,
            partial(declare_exchange, name=topology.exchange),
            broker.exchange_conflicts(topology.exchange),
        )
    }
    for queue in topology.queues:
        declare = partial(broker.declare_queue, topology=topology, queue=queue)
        guard = broker.queue_conflicts(queue.name)
        states[queue_named(queue.name)] = _state(connection, declare, guard)
    missing = tuple(what for what, state in states.items() if state is None)
    return missing, {what: state for what, state in states.items() if state}


def _without_row(broker: Broker, topology: Topology) -> Iterator[str]:
    there = {each.queue for each in declared.bindings("", "", using=broker.database)}
    return (queue_named(each.name) for each in topology.queues if each.name not in there)


def _state(
    connection: Connection, declare: Callable[..., None], guard: AbstractContextManager[None]
) -> str | None:
    """Say how something of ours exists: ``None`` not at all, ``""`` rightly, else the conflict.

    A passive declare tells whether it is there; if it is, an ordinary one compares the arguments
    and changes nothing. A refusal closes the channel, so each gets its own.
    """
    try:
        with connection.channel() as channel:
            declare(channel, passive=True)
        with guard, connection.channel() as channel:
            declare(channel)
    except TopologyConflict as error:
        return str(error)
    except ChannelError as error:
        if getattr(error, "reply_code", None) != NOT_FOUND:
            raise
        return None
    return ""


def _unbind(broker: Broker, channel: Any, exchange: str, binding: Binding) -> None:
    """Take one binding out of where the broker has it.

    Where Kombu keeps the table it has no unbind that lasts: it changes a copy of the table.
    """
    if broker.can.routes:
        channel.queue_unbind(queue=binding.queue, exchange=exchange, routing_key=binding.pattern)
    elif broker.can.name == "redis":
        _unbind_in_redis(channel, exchange, binding)
    else:
        _unbind_in_folder(channel, exchange, binding)


def _unbind_in_redis(channel: Any, exchange: str, binding: Binding) -> None:
    members = [
        channel.sep.join(row)
        for row in channel.get_table(exchange)
        if (row[0], row[-1]) == (binding.pattern, binding.queue)
    ]
    with channel.conn_or_acquire() as client:
        for key in (channel.keyprefix_queue, channel.keyprefix_binding_permanent):
            for member in members:
                client.srem(key % (exchange,), member)


def _unbind_in_folder(channel: Any, exchange: str, binding: Binding) -> None:
    from kombu.transport import filesystem  # on Windows it wants a package of its own

    with channel._exchange_file(exchange).open("rb+", buffering=0) as table:
        filesystem.lock(table, filesystem.LOCK_EX)  # until it is closed
        rows = json.loads(table.read())
        kept = [row for row in rows if (row[0], row[-1]) != (binding.pattern, binding.queue)]
        table.seek(0)
        table.write(json.dumps(kept).encode())
        table.truncate()


def _counts(broker: Broker, connection: Connection, queue: str) -> Counts:
    """How many messages are ready in ``queue``, and how many consume it, where that can be told."""
    if not broker.can.shared:
        return None, None
    with connection.channel() as channel:
        if not broker.can.routes:
            return int(channel._size(queue)), None
    try:
        with connection.channel() as channel:
            told = channel.queue_declare(queue, passive=True)
            return int(told.message_count), int(told.consumer_count)
    except ChannelError as error:
        if getattr(error, "reply_code", None) != NOT_FOUND:
            raise
        return None, None


def _sorted(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    return tuple(sorted(bindings, key=lambda each: (each.queue, each.pattern)))
