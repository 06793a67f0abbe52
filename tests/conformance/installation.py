"""How does a test use a broker? As an installation of ours does: subscribe, publish, take.

Nothing here knows which broker it is. Every name is unique, so that tests may share a server.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from django.db import connections, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.test import override_settings
from kombu import Connection

from taskrouting import conf, publish
from taskrouting.consuming import settling
from taskrouting.consuming.site import Site
from taskrouting.events import Event
from taskrouting.models import Binding, Message
from taskrouting.publishing.relay import Relay
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport import receiving
from taskrouting.transport.broker import Broker, dead_letter_exchange, kept_until_received
from taskrouting.transport.messages import Arrival
from tests import services
from tests.processes import KEYS, ROOT, environment
from tests.waiting import wait_until

from .places import Place

#: Seconds one drain may take.
TICK = 0.1

#: Seconds until a message must have come: the slowest transport, on a busy machine.
PATIENCE = 30


def unhandled(event: Event) -> None:
    """Stand in for a handler: nothing here runs one."""
    raise AssertionError(f"{event} was handled")


class Taker:
    """Takes messages off queues as a worker does, and keeps what it took."""

    def __init__(self, receiver: receiving.Receiver) -> None:
        self.receiver = receiver
        self.arrivals: list[Arrival] = []

    def take(self, count: int = 1) -> list[Arrival]:
        """Wait until ``count`` more messages have come; return them."""
        before = len(self.arrivals)
        wait_until(
            lambda: self.receiver.drain(TICK) and len(self.arrivals) - before >= count,
            timeout=PATIENCE,
            message=f"{count} messages",
        )
        return self.arrivals[before:]

    def take_and_acknowledge(self, count: int = 1) -> list[Arrival]:
        """Take ``count`` more messages and settle them."""
        taken = self.take(count)
        for arrival in taken:
            settle(arrival, self.receiver)
        return taken


def settle(arrival: Arrival, receiver: receiving.Receiver) -> None:
    """Be done with a message as a worker is: let the row go that was kept for it, acknowledge."""
    kept = kept_until_received(conf.current())
    settling.settle(arrival, Site(worker="test", acknowledge=receiver.acknowledge, kept=kept))


class Installation:
    """Settings, subscriptions and a relay of its own, on the broker of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.name
        self.alias = place.alias
        self.prefix = services.unique_name("t")
        self.exchange = f"{self.prefix}_exchange"
        self._settings: dict[str, Any] = {
            "SOURCE": "tests",
            "BROKER_URL": place.url,
            "EXCHANGE": self.exchange,
            "TRANSPORT_OPTIONS": dict(place.options),
            "DATABASE": place.alias,
            "OUTBOX_DATABASES": [place.alias],
            "AUDIT": {"queue": None},
        }
        self._overrides = ExitStack()
        self._queues: set[str] = set()
        self._relay: tuple[threading.Event, threading.Thread] | None = None

    @contextmanager
    def in_force(self) -> Iterator[Installation]:
        """Be the installation of this process for a block, with no subscriptions at first."""
        known = list(registry)
        for subscription in known:
            registry.remove(subscription.name)
        self.configure()
        try:
            yield self
        finally:
            self.stop_relaying()
            self._leave_nothing()
            for subscription in registry:
                registry.remove(subscription.name)
            self._overrides.close()
            for subscription in known:
                registry.add(subscription)

    def _leave_nothing(self) -> None:
        """Delete our queues where a server keeps them open: RabbitMQ has files for few hundred."""
        if self.broker.can.routes:
            names = [*self._queues, dead_letter_exchange(topology.current())]
            with self.kombu() as connection, connection.channel() as channel:
                for name in names:
                    channel.queue_delete(name)

    def configure(self, **settings: Any) -> None:
        """Change settings."""
        self._settings |= settings
        self._overrides.enter_context(override_settings(TASKROUTING=dict(self._settings)))

    @property
    def broker(self) -> Broker:
        """The broker, as our code sees it."""
        return Broker(conf.current())

    def queue(self, *patterns: str, name: str = "queue", **tuning: Any) -> str:
        """Subscribe a queue to ``patterns``; return the queue's name."""
        return self.queues({name: patterns}, **tuning)[0]

    def queues(self, wanted: Mapping[str, Sequence[str]], **tuning: Any) -> list[str]:
        """Subscribe several queues, by name; return their full names."""
        bound = {f"{self.prefix}_{name}": tuple(patterns) for name, patterns in wanted.items()}
        self.adopt(bound, **tuning)
        for name, patterns in bound.items():
            registry.add(Subscription(name=name, patterns=patterns, queue=name, handler=unhandled))
        return list(bound)

    def adopt(self, queues: Iterable[str], **tuning: Any) -> None:
        """Tune queues as the place wants them, and delete them in the end."""
        names = list(queues)
        self._queues.update(names)
        tuned = {**self.place.tuning, **tuning}
        if tuned:
            known = self._settings.get("QUEUES", {})
            self.configure(QUEUES={**known, **dict.fromkeys(names, tuned)})

    def publish(self, routing_key: str, data: Any = None, **more: Any) -> Event:
        """Publish on the store's database."""
        return publish(routing_key, data, using=self.alias, **more)

    def send(self, routing_key: str, data: Any = None, **more: Any) -> Event:
        """Publish, and see it reach the broker."""
        event = self.publish(routing_key, data, **more)
        self.relay()
        return event

    def declare(self) -> None:
        """Declare the topology."""
        with self.broker.connect() as connection:
            self.broker.declare(connection, topology.current())

    def relay(self) -> None:
        """Move everything that is due to the broker."""
        if self._relay is None:
            stop = threading.Event()
            relay = Relay(self.broker, self.alias)
            thread = threading.Thread(target=relay.run, args=[stop], daemon=True)
            thread.start()
            self._relay = stop, thread
        if not self.broker.can.embedded:
            wait_until(self._relayed, timeout=PATIENCE, message="the relay")

    def _relayed(self) -> bool:
        assert self._relay and self._relay[1].is_alive(), "the relay's thread has died"
        return not self.unsent().exists()

    def unsent(self) -> Any:
        """Rows the relay has to send now, or is sending."""
        due = Q(available_at__lte=Now()) | Q(claim__isnull=False)
        return self.waiting().filter(due)

    def waiting(self) -> Any:
        """Every row of the store."""
        return Message.objects.using(self.alias)

    def stop_relaying(self) -> None:
        """End the relay; a commit wakes it."""
        if self._relay is None:
            return
        (stop, thread), self._relay = self._relay, None
        stop.set()
        self.wake()
        thread.join(10)
        assert not thread.is_alive()

    def wake(self) -> None:
        """Commit something that nobody looks for."""
        row = Binding.objects.using(self.alias).create(exchange="-", pattern="-", queue="-")
        row.delete()
        if connections[self.alias].vendor == "postgresql":
            with connections[self.alias].cursor() as cursor:
                cursor.execute("NOTIFY taskrouting")

    @contextmanager
    def taking(self, *queues: str, prefetch: int = 10) -> Iterator[Taker]:
        """Consume ``queues`` for a block."""
        with receiving.receiver(self.broker) as receiver:
            self.broker.declare(receiver.connection, topology.current())
            taker = Taker(receiver)
            receiver.consume(dict.fromkeys(queues, prefetch), taker.arrivals.append)
            yield taker

    def together(self) -> AbstractContextManager[None]:
        """One transaction for a block, where the broker is the database; it is faster so."""
        embedded = self.broker.can.embedded
        return transaction.atomic(using=self.alias) if embedded else nullcontext()

    @contextmanager
    def kombu(self) -> Iterator[Connection]:
        """Connect as a foreign program does, that knows Kombu and not us."""
        with Connection(self.place.url, transport_options=self.broker.options) as connection:
            yield connection

    def program(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program of this installation in a process of its own; read what it prints."""
        return subprocess.Popen(
            [sys.executable, *command],
            env={**self.environment(), **variables},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """The environment of a process of this installation; our database is its default."""
        settings = {**self._settings, "DATABASE": "default", "OUTBOX_DATABASES": ["default"]}
        database = {key: connections[self.alias].settings_dict.get(key) for key in KEYS}
        database["NAME"] = str(database["NAME"])
        return {**environment(**settings), "DEPOT_DATABASE": json.dumps(database)}


def identities(arrivals: list[Arrival]) -> list[str]:
    """The ids of the events that came, in order."""
    return [str(arrival.properties["message_id"]) for arrival in arrivals]
