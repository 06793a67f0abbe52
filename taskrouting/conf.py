"""What did the user configure? ``TASKROUTING`` in, a frozen ``Settings`` out.

This is the only module that reads ``django.conf.settings``. Read a setting as
``conf.current().threads``: a function, so that ``override_settings`` tells the truth.
Names are written upper-case in ``TASKROUTING`` and lower-case here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from taskrouting.durations import as_duration
from taskrouting.exceptions import ConfigurationError


class Secret(bytes):
    """Bytes that no log, no error page and no shell shows."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


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

    #: Passed to ``kombu.Connection(transport_options=...)``.
    transport_options: Mapping[str, Any] = field(default_factory=dict)

    #: Serializers (Kombu's names) a foreign message may use; CloudEvents JSON always may.
    accept: tuple[str, ...] = ("json",)

    #: Kombu's name of a compression for what the relay sends (``"gzip"``), or ``None``.
    compression: str | None = None


CHOICES = {
    "outbox_keep": (None, "until_confirmed", "until_received"),
    "unrouted": ("record", "ignore"),
    "unsigned": ("refuse", "accept"),
    "type": ("quorum", "classic"),
}
#: As many bytes as HMAC-SHA256 puts out; a shorter key would be the weaker part.
SHORTEST_KEY = 32

AT_LEAST_ONE = {"threads", "prefetch", "max_crashes", "max_message_bytes", "batch_size"}


@sensitive_variables()  # here and in what is called here: error pages show no key
def load(user: Mapping[str, Any]) -> Settings:
    """Build ``Settings`` from the user's dict.

    Raises ConfigurationError naming the key, the value and the fix.
    """
    values = _read(Settings, user, "TASKROUTING", upper=True)
    return Settings(**{**values, "source": values.get("source") or _default_source()})


@cache
def current() -> Settings:
    """Return the settings in force, built once per process."""
    return load(getattr(django_settings, "TASKROUTING", {}))


def _read(kind: type, user: object, place: str, *, upper: bool = False) -> dict[str, Any]:
    """Check the keys of ``user`` against the fields of ``kind`` and read each value."""
    if not isinstance(user, Mapping):
        raise ConfigurationError(f"{place} is {user!r}; it must be a dict.")
    known = {f.name.upper() if upper else f.name: str(f.type) for f in fields(kind)}
    for key in user:
        if key not in known:
            raise ConfigurationError(f"{place} has an unknown key {key!r}.{_meant(key, known)}")
    return {
        key.lower(): _value(key.lower(), value, known[key], f"{place}[{key!r}]")
        for key, value in user.items()
    }


def _meant(key: object, known: Mapping[str, str]) -> str:
    """Suggest the known key nearest to ``key``, or list them all."""
    spelt = {name.casefold(): name for name in known}
    near = get_close_matches(str(key).casefold(), spelt, n=1)
    if near:
        return f" Did you mean {spelt[near[0]]!r}?"
    return f" Known keys: {', '.join(sorted(known))}."


def _value(name: str, value: Any, annotation: str, place: str) -> Any:
    """Read one value as its field's annotation wants it."""
    if name in CHOICES and value not in CHOICES[name]:
        allowed = " or ".join(repr(choice) for choice in CHOICES[name])
        raise ConfigurationError(f"{place} is {value!r}; it must be {allowed}.")
    if value is None and annotation.endswith("| None"):
        return None
    if name == "queues":
        return _queues(value, place)
    if name == "audit":
        return AuditSettings(**_read(AuditSettings, value, place))
    return READERS[annotation.removesuffix(" | None")](name, value, place)


def _queues(value: object, place: str) -> dict[str, QueueSettings]:
    """Read ``QUEUES``."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{place} is {value!r}; it must be a dict of queue names.")
    return {
        _text("name", name, f"A key of {place}"): QueueSettings(
            **_read(QueueSettings, tuning, f"{place}[{name!r}]")
        )
        for name, tuning in value.items()
    }


def _text(name: str, value: object, place: str) -> str:
    if not isinstance(value, str) or (not value and name != "source"):
        raise ConfigurationError(f"{place} is {value!r}; it must be a string that is not empty.")
    return value


def _number(name: str, value: object, place: str) -> int:
    smallest = 1 if name in AT_LEAST_ONE else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ConfigurationError(f"{place} is {value!r}; it must be a whole number >= {smallest}.")
    return value


def _texts(name: str, value: object, place: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise ConfigurationError(f"{place} is {value!r}; it must be a list of strings.")
    return tuple(_text(name, item, place) for item in value)


def _keys(name: str, value: object, place: str) -> tuple[Secret, ...]:
    """Read keys, of which no message tells anything."""
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{place} is a {type(value).__name__}; it must be a list of keys.")
    # A list, for the frame of a generator forgets who called it, and that its values are sensitive.
    return tuple([_key(key, f"{place}[{number}]") for number, key in enumerate(value)])


def _key(value: object, place: str) -> Secret:
    if not isinstance(value, str | bytes):
        raise ConfigurationError(f"{place} is a {type(value).__name__}; a key is text or bytes.")
    key = Secret(value.encode() if isinstance(value, str) else value)
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(
            f"{place} has {len(key)} bytes; a key needs {SHORTEST_KEY}. Make one with: python -c "
            "'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return key


def _mapping(name: str, value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{place} is {value!r}; it must be a dict.")
    return dict(value)


def _duration(name: str, value: object, place: str) -> timedelta:
    duration = as_duration(value, place)
    if name == "lease" and not duration:
        raise ConfigurationError(f"{place} is {value!r}; a claim has to hold for some time.")
    return duration


READERS = {
    "str": _text,
    "int": _number,
    "tuple[str, ...]": _texts,
    "tuple[Secret, ...]": _keys,
    "Mapping[str, Any]": _mapping,
    "timedelta": _duration,
}


def _default_source() -> str:
    """Name the installation after its project, never after a host (hosts come and go)."""
    return str(getattr(django_settings, "ROOT_URLCONF", "") or "django").partition(".")[0]


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    """Read the settings anew after ``override_settings``."""
    if setting in {"TASKROUTING", "ROOT_URLCONF"}:
        current.cache_clear()
