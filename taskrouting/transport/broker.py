"""Which broker is it, what can it do, and how do we reach it? Connect and declare.

What a transport cannot do is a flag here (``Capabilities``), and either an error that names it or
a fallback the documentation names; never silence.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.db import DatabaseError, InterfaceError
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from kombu.transport import TRANSPORT_ALIASES

from taskrouting import conf
from taskrouting.exceptions import BrokerUnavailable, ConfigurationError, TopologyConflict
from taskrouting.routing.topology import Queue, Topology

from . import database, declared

#: How long one attempt to connect may take.
CONNECT_TIMEOUT = 4.0

#: RabbitMQ's heartbeat: a peer that is silent for this long is gone.
HEARTBEAT = 30

#: Backstop for a message that RabbitMQ has delivered again and again; the real limit is ours.
DELIVERY_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transport can do."""

    #: Kombu's name of the transport.
    name: str

    #: It confirms a publish after taking responsibility, and returns what it cannot route.
    confirms: bool = False

    #: It routes by the AMQP topic grammar itself; elsewhere we route and publish per queue.
    routes: bool = False

    #: Several processes share its queues.
    shared: bool = True

    #: What it holds survives the death of any process of ours, also while it is being handled.
    durable: bool = False

    #: It says of a message that it has been delivered before.
    tells_redelivery: bool = True

    #: ``"always"``, ``"arguments"`` (with ``x-max-priority`` on the queue), or ``"outbox"``:
    #: priority orders what waits in the outbox, and nothing behind it.
    priority: str = "outbox"

    #: Its bindings can be read, whichever process made them. RabbitMQ has no word for it.
    lists_bindings: bool = False

    #: It is the project's own database, so a publish needs no relay.
    embedded: bool = False


AMQP = Capabilities(name="amqp", confirms=True, routes=True, durable=True, priority="arguments")
DJANGO = Capabilities(
    name="django", durable=True, priority="always", lists_bindings=True, embedded=True
)
REDIS = Capabilities(name="redis", priority="always", lists_bindings=True)
KNOWN = {
    "amqp": AMQP,
    "amqps": AMQP,
    "pyamqp": AMQP,
    "django": DJANGO,
    "redis": REDIS,
    "rediss": REDIS,
    "sentinel": REDIS,
    "sqs": Capabilities(name="sqs", durable=True, tells_redelivery=False),
    "filesystem": Capabilities(name="filesystem", tells_redelivery=False, lists_bindings=True),
    "memory": Capabilities(name="memory", shared=False, tells_redelivery=False),
}


def capabilities(url: str) -> Capabilities:
    """Say what the broker behind ``url`` can do.

    Raises ConfigurationError when no transport has the URL's scheme.
    """
    scheme = _scheme(url)
    if scheme in KNOWN:
        return KNOWN[scheme]
    if scheme in TRANSPORT_ALIASES:
        return Capabilities(name=scheme, tells_redelivery=False)
    near = get_close_matches(scheme, [*KNOWN, *TRANSPORT_ALIASES], n=1)
    hint = f" Did you mean {near[0]}://?" if near else " Examples: django://, amqp://, redis://."
    raise ConfigurationError(
        f"TASKROUTING['BROKER_URL'] names a transport {scheme!r}, and there is none.{hint}"
    )


def current() -> Broker:
    """Return the broker the settings name; opens no socket."""
    return Broker(conf.current())


class Broker:
    """One broker, by its URL; holds no connection itself."""

    def __init__(self, settings: conf.Settings) -> None:
        """Raises ConfigurationError for an unknown scheme; opens no socket."""
        self.url = settings.broker_url
        self.can = capabilities(self.url)
        self.options = {**_defaults(self.can.name, settings), **settings.transport_options}
        #: Alias of the database that remembers what we declare.
        self.database = settings.database

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection for a block; close it whatever happens.

        Raises BrokerUnavailable when the broker cannot be reached: wait and try again.
        """
        connection = Connection(
            self.url,
            transport_options=self.options,
            connect_timeout=CONNECT_TIMEOUT,
            heartbeat=HEARTBEAT if self.can.confirms else 0,
        )
        try:
            with self.faults(connection):
                tries = len(connection.alt)
                connection.ensure_connection(max_retries=max(tries, 1), interval_start=0.1)
                yield connection
        finally:
            self._close(connection)

    @contextmanager
    def faults(self, connection: Connection) -> Iterator[None]:
        """Raise BrokerUnavailable where the broker, or the way to it, fails."""
        lost = (*connection.connection_errors, OperationalError, OSError)
        if self.can.embedded:
            lost = (*lost, DatabaseError, InterfaceError)
        try:
            yield
        except BrokerUnavailable:
            raise
        except lost as error:
            raise BrokerUnavailable(f"{connection.as_uri()}: {_first_line(error)}") from error

    def declare(self, connection: Connection, topology: Topology) -> None:
        """Declare exchange, queues and bindings; harmless when they are there already.

        The bindings are remembered in ``database`` where they may have to be removed by name.
        Raises TopologyConflict when a queue or exchange exists with other arguments.
        """
        if self.can.routes or (self.can.lists_bindings and not self.can.embedded):
            declared.remember(self.can.name, topology, using=self.database)
        with self.exchange_conflicts(topology.exchange), connection.channel() as channel:
            self._declare_exchange(channel, topology)
        for queue in topology.queues:
            with self.queue_conflicts(queue.name), connection.channel() as channel:
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

    def declare_queue(self, channel: Any, topology: Topology, queue: Queue) -> None:
        """Declare one queue, without its bindings."""
        channel.queue_declare(
            queue=queue.name,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments=self.arguments(topology, queue),
        )

    def queue_conflicts(self, name: str) -> AbstractContextManager[None]:
        """Raise TopologyConflict where the queue ``name`` exists with other arguments."""
        return self._conflicts(
            f"Queue {name!r}",
            f"Change TASKROUTING['QUEUES'][{name!r}] back, or drain and delete the queue and let "
            "us declare it anew.",
        )

    def exchange_conflicts(self, name: str) -> AbstractContextManager[None]:
        """Raise TopologyConflict where the exchange ``name`` is of another kind."""
        return self._conflicts(
            f"Exchange {name!r}",
            "Name another in TASKROUTING['EXCHANGE'], or delete it and let us declare it anew.",
        )

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
            raise TopologyConflict(
                f"{what} exists on {urlsplit(self.url).hostname} with other arguments: "
                f"{_first_line(error)}. {remedy}"
            ) from error

    def _close(self, connection: Connection) -> None:
        """Close without letting a broken socket hide what went wrong before."""
        try:
            connection.release()
        except (*connection.connection_errors, OSError, DatabaseError, InterfaceError):
            connection.collect()


def kept_until_received(settings: conf.Settings) -> bool:
    """Say whether an outbox row stays until the consumer has its message.

    The default where a broker cannot confirm; the embedded broker has the rows itself.
    """
    can = capabilities(settings.broker_url)
    if can.embedded:
        return False
    if settings.outbox_keep is None:
        return not can.confirms
    return settings.outbox_keep == "until_received"


def declare_exchange(channel: Any, name: str) -> None:
    """Declare our topic exchange."""
    channel.exchange_declare(exchange=name, type="topic", durable=True, auto_delete=False)


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
        arguments={"x-queue-type": "quorum"},
    )
    channel.queue_bind(queue=name, exchange=name, routing_key="")


def _scheme(url: str) -> str:
    """Read the transport's name out of a URL; a failover list has the first one's."""
    return url.partition("://")[0].partition("+")[0].lower() if "://" in url else url


def _defaults(name: str, settings: conf.Settings) -> dict[str, Any]:
    """Transport options without which the transport hangs, loses or disturbs its neighbours."""
    if name == "amqp":
        # py-amqp's own limit of one second is shorter than a pause of RabbitMQ under load.
        return {"socket_settings": {socket.TCP_USER_TIMEOUT: 30_000}, "write_timeout": 30}
    if name == "redis":
        return {
            # A frozen server must not hold us forever; longer than BRPOP's second.
            "socket_timeout": 10,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_keepalive": True,
            # Ours settle soon (a long handler runs under a lease in the store), so what a dead
            # worker held comes back soon; a copy too many is a DUPLICATE.
            "visibility_timeout": int(2 * settings.lease.total_seconds()),
            "unacked_restore_throttle": 1,
        }
    if name == "django":
        return {"lease": settings.lease, "alias": settings.database}
    if name in ("memory", "filesystem"):
        return {"polling_interval": 0.02}
    return {}


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


database.register()
