"""What did the user configure? ``TASKROUTING`` in, a frozen ``Settings`` out.

This is the only module that reads ``django.conf.settings``. Read a setting as
``conf.current().threads``: a function, so that ``override_settings`` tells the truth.
Names are written upper-case in ``TASKROUTING`` and lower-case here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from taskrouting.exceptions import ConfigurationError
from taskrouting.reading import Secret, read


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What ``QUEUES[name]`` may tune; what a queue receives is said by its subscriptions."""

    #: Patterns bound to the queue beside those of its subscriptions.
    bindings: tuple[str, ...] = ()

    #: Unsettled deliveries one worker may hold of this queue; ``None`` is ``PREFETCH``.
    prefetch: int | None = None

    #: RabbitMQ's queue type: ``"quorum"`` (replicated) or ``"classic"``.
    type: str = "quorum"

    #: Further ``x-`` arguments for RabbitMQ, merged over ours.
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What ``AUDIT`` may tune."""

    #: The queue the audit log consumes; ``None`` switches the audit log off.
    queue: str | None = "audit_queue"

    #: Patterns of the routing keys that are recorded.
    bindings: tuple[str, ...] = ("#",)

    #: Patterns of the routing keys that are not recorded although a binding matches.
    exclude: tuple[str, ...] = ()

    #: Events written at most by one INSERT.
    batch_size: int = 500

    #: How long a batch that is not full waits for more.
    batch_wait: timedelta = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What ``ALERTS`` may say: what to watch, and whom to tell."""

    #: Age of an event in an outbox that is due.
    outbox_age: timedelta | None = None

    #: The share of the deliveries of the last minutes that failed: ``0.2`` is one in five.
    failure_rate: float | None = None

    #: So many dead letters that nobody has resolved.
    dead_letters: int | None = None

    #: Queues that something should come to, and for how long nothing may.
    silent_queue: Mapping[str, timedelta] = field(default_factory=dict)

    #: How long nothing more is told of what was told already.
    cooldown: timedelta = timedelta(minutes=30)

    #: A dotted path to what is called with each Alert, or mail addresses.
    to: str | tuple[str, ...] = ()

    @property
    def watched(self) -> bool:
        """Whether anything is watched."""
        limits = (self.outbox_age, self.failure_rate, self.dead_letters)
        return bool(self.silent_queue) or any(limit is not None for limit in limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation may tune. Every field has a safe default."""

    #: Kombu URL of the broker; ``django://`` needs nothing but the database.
    broker_url: str = "django://"

    #: Name of the durable topic exchange.
    exchange: str = "events"

    #: CloudEvents ``source`` of what we publish; default: the root URLconf's top package.
    source: str = ""

    #: Tuning per queue name.
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)

    #: The audit log.
    audit: AuditSettings = field(default_factory=AuditSettings)

    #: Threads that run handlers, per worker process.
    threads: int = 4

    #: Unsettled deliveries one worker process may hold per queue (AMQP ``basic.qos``).
    prefetch: int = 32

    #: Messages of one queue whose handlers, with effects in the database, may share a commit.
    group_size: int = 128

    #: How long one group goes on to begin handlers.
    group_time: timedelta = timedelta(milliseconds=100)

    #: How long a stopping worker waits for handlers that still run.
    shutdown_grace: timedelta = timedelta(seconds=30)

    #: How long a claim or lease holds without a heartbeat; after it the work is taken over.
    lease: timedelta = timedelta(seconds=60)

    #: How often one delivery may take its worker down before it is dead.
    max_crashes: int = 5

    #: Database alias of ledger, audit log, dead letters and ``django://`` queues.
    database: str = "default"

    #: Database aliases whose transactions may publish.
    outbox_databases: tuple[str, ...] = ("default",)

    #: When an outbox row goes: ``"until_confirmed"`` or ``"until_received"``;
    #: ``None``: the former where the broker confirms, the latter where it cannot.
    outbox_keep: str | None = None

    #: What becomes of an event no queue wants: ``"record"`` (a dead letter) or ``"ignore"``.
    unrouted: str = "record"

    #: Largest event, in bytes on the wire, that is published or read.
    max_message_bytes: int = 1024 * 1024

    #: Model fields whose values ``@publishes`` never tells among the changes, and the admin hides.
    sensitive: tuple[str, ...] = ("password",)

    #: Keys that sign what is sent, newest first; each of them verifies. None: nothing is signed.
    signing_keys: tuple[Secret, ...] = ()

    #: What becomes of a message without a signature, where there are keys: ``"refuse"`` (a dead
    #: letter) or ``"accept"``, until every sender signs.
    unsigned: str = "refuse"

    #: What to watch, and whom to tell; by default nothing is watched.
    alerts: AlertSettings = field(default_factory=AlertSettings)

    #: Make spans with OpenTelemetry.
    tracing: bool = False

    #: Passed to ``kombu.Connection(transport_options=...)``.
    transport_options: Mapping[str, Any] = field(default_factory=dict)

    #: Serializers (Kombu's names) a foreign message may use; CloudEvents JSON always may.
    accept: tuple[str, ...] = ("json",)

    #: Kombu's name of a compression for what the relay sends (``"gzip"``), or ``None``.
    compression: str | None = None

    @property
    def databases(self) -> list[str]:
        """Every database alias that has rows of ours, the central one first."""
        return list(dict.fromkeys([self.database, *self.outbox_databases]))


#: What is read as settings of its own: one such value, or one by name.
NESTED = {"queues": QueueSettings, "audit": AuditSettings, "alerts": AlertSettings}


@sensitive_variables()  # here and in what is called here: error pages show no key
def load(user: Mapping[str, Any]) -> Settings:
    """Build ``Settings`` from the user's dict.

    Raises ConfigurationError naming the key, the value and the fix.
    """
    values = read(Settings, user, "TASKROUTING", NESTED, upper=True)
    _refuse_alerts_to_nobody(values.get("alerts") or AlertSettings())
    return Settings(**{**values, "source": values.get("source") or _default_source()})


@cache
def current() -> Settings:
    """Return the settings in force, built once per process."""
    return load(getattr(django_settings, "TASKROUTING", {}))


def _refuse_alerts_to_nobody(alerts: AlertSettings) -> None:
    if alerts.watched and not alerts.to:
        raise ConfigurationError(
            "TASKROUTING['ALERTS'] has nobody to tell. Add 'to': a dotted path to a function, "
            "or a list of mail addresses."
        )


def _default_source() -> str:
    """Name the installation after its project, never after a host (hosts come and go)."""
    return str(getattr(django_settings, "ROOT_URLCONF", "") or "django").partition(".")[0]


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    """Read the settings anew after ``override_settings``."""
    if setting in {"TASKROUTING", "ROOT_URLCONF"}:
        current.cache_clear()
