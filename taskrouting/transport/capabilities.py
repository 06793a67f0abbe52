"""What can each transport do?

What a transport cannot do is a flag here, and either an error that names it or a fallback the
documentation names; never silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from string import punctuation

from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES

from taskrouting.exceptions import ConfigurationError

# By its name: Kombu imports it when it is asked for, and who has another broker does without.
TRANSPORT_ALIASES["django"] = "taskrouting.transport.database:Transport"


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

    #: It tells exactly how many messages of a queue are ready for us, so that silence is noticed.
    tells_backlog: bool = False

    #: It is the project's own database, so a publish needs no relay.
    embedded: bool = False


AMQP = Capabilities(
    name="amqp",
    confirms=True,
    routes=True,
    durable=True,
    priority="arguments",
    tells_backlog=True,
)
DJANGO = Capabilities(
    name="django", durable=True, priority="always", lists_bindings=True, embedded=True
)
REDIS = Capabilities(name="redis", priority="always", lists_bindings=True, tells_backlog=True)
KNOWN = {
    "amqp": AMQP,
    "amqps": AMQP,
    "pyamqp": AMQP,
    "django": DJANGO,
    "redis": REDIS,
    "rediss": REDIS,
    "sentinel": REDIS,
    "sqs": Capabilities(name="sqs", durable=True),
    "filesystem": Capabilities(name="filesystem", lists_bindings=True),
    "memory": Capabilities(name="memory", shared=False),
}


#: What people write when they mean another.
MEANT = {
    "rabbit": "amqp",
    "rabbitmq": "amqp",
    "db": "django",
    "database": "django",
    "mysql": "django",
    "postgres": "django",
    "postgresql": "django",
    "sqlite": "django",
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
    if scheme in MEANT:
        raise ConfigurationError(
            f"TASKROUTING['BROKER_URL'] names a transport {scheme!r}, and there is none. Did you "
            f"mean {MEANT[scheme]}://?"
        )
    near = get_close_matches(scheme, [*KNOWN, *TRANSPORT_ALIASES], n=1)
    hint = f" Did you mean {near[0]}://?" if near else " Examples: django://, amqp://, redis://."
    raise ConfigurationError(
        f"TASKROUTING['BROKER_URL'] names a transport {scheme!r}, and there is none.{hint}"
    )


def fault(url: str) -> str:
    """Say why no connection can be made by ``url`` here, without making one; empty if one can."""
    try:
        _ = Connection(url).transport
    except ValueError as error:
        return f"it cannot be read: {error}"
    except (ImportError, RuntimeError, NameError) as error:  # Kombu's ways to miss a package
        return f"a package is missing: {error}"
    return ""


def stored_name(transport: str, queue: str) -> str:
    """Return the name under which ``transport`` (Kombu's name) keeps ``queue``."""
    return queue.translate(_SQS_NAME) if transport == "sqs" else queue


#: Kombu's translation of queue names for SQS, which knows letters, digits, ``-`` and ``_``.
_SQS_NAME = str.maketrans({char: "_" for char in punctuation if char not in "-_."} | {".": "-"})


def _scheme(url: str) -> str:
    """Read the transport's name out of a URL; a failover list has the first one's."""
    return url.partition("://")[0].partition("+")[0].lower() if "://" in url else url
