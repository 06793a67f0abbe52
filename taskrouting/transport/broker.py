"""Which broker is it, and how do we reach it? Connect and declare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import DatabaseError, InterfaceError
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

from taskrouting import conf
from taskrouting.exceptions import BrokerUnavailable, TaskroutingError, TopologyConflict
from taskrouting.routing.topology import Queue, Topology

from . import closing, declared, options
from .advice import advice
from .capabilities import capabilities
from .store import Claimed

#: RabbitMQ's own limit, unless its configuration says otherwise.
CONSUMER_TIMEOUT = timedelta(minutes=30)

#: Backstop for a message that RabbitMQ has delivered again and again; the real limit is ours.
DELIVERY_LIMIT = 1000

#: What is dead has nowhere else to go: RabbitMQ 4 would drop it when it is delivered too often.
NO_LIMIT = 1_000_000_000


def current(patience: float = options.PATIENCE) -> Broker:
    """Return the broker the settings name; opens no socket.

    ``patience``: for whoever has less of it than a worker, the seconds to wait for an answer.
    """
    return Broker(conf.current(), patience)


class Broker:
    """One broker, by its URL; holds no connection itself."""

    def __init__(self, settings: conf.Settings, patience: float = options.PATIENCE) -> None:
        """Raises ConfigurationError for an unknown scheme; opens no socket."""
        self.url = settings.broker_url
        self.can = capabilities(self.url)
        self.options = {
            **options.defaults(self.can.name, settings),
            **settings.transport_options,
            **options.impatient(self.can.name, patience),
        }
        self._connect_timeout = min(patience, options.CONNECT_TIMEOUT)
        #: Alias of the database that remembers what we declare.
        self.database = settings.database
        #: What was claimed on the embedded broker and could not be handed back: it was away.
        self.left_behind: list[Claimed] = []
        self._lease = settings.lease

    @property
    def hands_out_after(self) -> timedelta:
        """For how long a worker may hold a message before the broker gives it to another one."""
        if self.can.embedded:
            return self._lease
        known = {"amqp": CONSUMER_TIMEOUT}.get(self.can.name, timedelta(0))
        seconds = self.options.get("visibility_timeout")
        return known if seconds is None else timedelta(seconds=seconds)

    @contextmanager
    def connect(self, *, heartbeat: float = 0) -> Iterator[Connection]:
        """Open a connection for a block; close it whatever happens.

        ``heartbeat`` (seconds, AMQP) is for those who drain the connection all the time: RabbitMQ
        cuts off a peer that has promised heartbeats and is silent, as an idle relay is.
        Raises BrokerUnavailable when the broker cannot be reached: wait and try again.
        """
        connection = self._kind_of_connection()(
            self.url,
            transport_options=self.options,
            connect_timeout=self._connect_timeout,
            heartbeat=heartbeat if self.can.confirms else 0,
        )
        try:
            with self.faults(connection):
                tries = len(connection.alt)
                connection.ensure_connection(max_retries=max(tries, 1), interval_start=0.1)
                yield connection
        finally:
            closing.close(connection, _faults(connection, self.can.name))

    def _kind_of_connection(self) -> Any:
        if not self.can.confirms:
            return Connection
        from . import frames  # and py-amqp, which others do without

        return frames.Connection

    @contextmanager
    def faults(self, connection: Connection) -> Iterator[None]:
        """Raise BrokerUnavailable where the broker, or the way to it, fails."""
        lost = _faults(connection, self.can.name)
        try:
            yield
        except TaskroutingError:
            raise  # it says already what it is
        except lost as error:
            where = "django://" if self.can.embedded else connection.as_uri()
            hint = advice(self.url, error)
            raise BrokerUnavailable(f"{where}: {_first_line(error)}{hint}") from error

    def declare(self, connection: Connection, topology: Topology) -> None:
        """Declare exchange, queues and bindings; harmless when they are there already.

        The bindings are remembered in ``database`` where they may have to be removed by name.
        Raises TopologyConflict when a queue or exchange exists with other arguments.
        """
        if self.can.routes or (self.can.lists_bindings and not self.can.embedded):
            declared.remember(self.can.name, topology, using=self.database)
        with self.exchange_conflicts(topology.exchange), self._channel(connection) as channel:
            self._declare_exchange(channel, topology)
        for queue in topology.queues:
            with self.queue_conflicts(queue.name), self._channel(connection) as channel:
                self.declare_queue(channel, topology, queue)
                self._bind(channel, topology, queue)

    def dead_letter_queue(self, topology: Topology) -> str | None:
        """Name the queue where the broker puts what it gives up on, if it has one."""
        return dead_letter_exchange(topology) if self.can.name == "amqp" else None

    def arguments(self, topology: Topology, queue: Queue) -> dict[str, Any]:
        """The ``x-`` arguments a queue is declared with."""
        if self.can.name != "amqp":
            return {}
        return {
            "x-queue-type": queue.type,
            "x-dead-letter-exchange": dead_letter_exchange(topology),
            "x-overflow": "reject-publish",
            **(
                {"x-delivery-limit": DELIVERY_LIMIT, "x-dead-letter-strategy": "at-least-once"}
                if queue.type == "quorum"
                else {}
            ),
            **queue.arguments,
        }

    def declare_queue(
        self, channel: Any, topology: Topology, queue: Queue, *, passive: bool = False
    ) -> None:
        """Declare one queue, without its bindings; ``passive`` only asks whether it is there."""
        channel.queue_declare(
            queue=queue.name,
            passive=passive,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments=self.arguments(topology, queue),
        )

    def queue_conflicts(self, name: str) -> AbstractContextManager[None]:
        """Raise TopologyConflict where the queue ``name`` exists with other arguments."""
        return self._conflicts(
            f"Queue {name!r}",
            f"If it is yours, change TASKROUTING['EXCHANGE'] or ['QUEUES'][{name!r}] back, or "
            "drain and delete the queue and let us declare it anew; if it is another program's, "
            "take a vhost or a queue name of your own.",
        )

    def exchange_conflicts(self, name: str) -> AbstractContextManager[None]:
        """Raise TopologyConflict where the exchange ``name`` is of another kind."""
        return self._conflicts(
            f"Exchange {name!r}",
            "Name another in TASKROUTING['EXCHANGE'], or delete it and let us declare it anew.",
        )

    def _channel(self, connection: Connection) -> AbstractContextManager[Any]:
        """A channel to declare on: AMQP closes it over a conflict; on SQS a new one is slow."""
        return connection.channel() if self.can.routes else nullcontext(connection.default_channel)

    def _declare_exchange(self, channel: Any, topology: Topology) -> None:
        declare_exchange(channel, topology.exchange)
        if self.can.name == "amqp":
            _declare_dead_letter_queue(channel, topology)

    def _bind(self, channel: Any, topology: Topology, queue: Queue) -> None:
        for pattern in queue.patterns:
            channel.queue_bind(queue=queue.name, exchange=topology.exchange, routing_key=pattern)

    @contextmanager
    def _conflicts(self, what: str, remedy: str) -> Iterator[None]:
        try:
            yield
        except ChannelError as error:
            if getattr(error, "reply_code", None) != 406:
                raise
            reason, where = _first_line(error), urlsplit(self.url).hostname
            trouble = (
                f"is refused on {where}"
                if "invalid arg" in reason
                else f"exists on {where} with other arguments"
            )
            raise TopologyConflict(f"{what} {trouble}: {reason}. {remedy}") from error


def kept_until_received(settings: conf.Settings) -> bool:
    """Say whether an outbox row stays until the consumer has its message.

    The default where a broker cannot confirm. The embedded broker has the rows itself; and where
    the broker routes, nobody here knows which queues would have to receive (check E018).
    """
    can = capabilities(settings.broker_url)
    if can.embedded or can.routes:
        return False
    return settings.outbox_keep != "until_confirmed"


def declare_exchange(channel: Any, name: str, *, passive: bool = False) -> None:
    """Declare our topic exchange; ``passive`` only asks whether it is there."""
    channel.exchange_declare(
        exchange=name, type="topic", durable=True, auto_delete=False, passive=passive
    )


def dead_letter_exchange(topology: Topology) -> str:
    """Name the exchange, and its one queue, where RabbitMQ puts what it gives up on."""
    return f"{topology.exchange}.dead"


def _declare_dead_letter_queue(channel: Any, topology: Topology) -> None:
    name = dead_letter_exchange(topology)
    channel.exchange_declare(exchange=name, type="fanout", durable=True, auto_delete=False)
    channel.queue_declare(
        queue=name,
        durable=True,
        exclusive=False,
        auto_delete=False,
        arguments={"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT},
    )
    channel.queue_bind(queue=name, exchange=name, routing_key="")


def _faults(connection: Connection, name: str) -> tuple[type[Exception], ...]:
    """What says that the broker failed, and not that we made a mistake."""
    known = (*connection.connection_errors, *connection.channel_errors)
    return (*known, *_further_faults(name), OperationalError, OSError)


def _further_faults(name: str) -> tuple[type[Exception], ...]:
    """What fails on this transport beside what Kombu knows of."""
    if name == "django":
        return (DatabaseError, InterfaceError)
    if name == "sqs":
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # has no types
        from kombu.transport.SQS import exceptions

        return (
            ClientError,
            exceptions.AccessDeniedQueueException,
            exceptions.DoesNotExistQueueException,
            exceptions.UndefinedQueueException,
        )
    return ()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


__all__ = [
    "Broker", "capabilities", "current", "dead_letter_exchange", "declare_exchange",
    "kept_until_received",
]  # fmt: skip
