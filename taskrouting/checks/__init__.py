"""Is this installation configured rightly? Django's system checks, at every start of a command.

==================  =============================================================================
id                  what it says
==================  =============================================================================
``taskrouting.``
``E001``            ``TASKROUTING`` cannot be read: an unknown key, a value of the wrong kind
``E002``            no transport has the scheme of ``BROKER_URL``
``E003``            ``BROKER_URL`` is malformed, or the package its transport needs is missing
``E004``            ``COMPRESSION`` is none that we read
``E005``            ``ACCEPT`` names a serializer that is none
``E006``            ``DATABASE`` or ``OUTBOX_DATABASES`` names an alias that is not in ``DATABASES``
``E007``            a database that is neither PostgreSQL nor SQLite
``E008``            SQLite is older than 3.35
``E009``            the database router sends our messages to an alias that is no outbox
``E010``            the database router keeps our tables out of a database that needs them
``E011``            a pattern in ``QUEUES`` or ``AUDIT`` that no routing key can match
``E012``            a batch subscription shares its queue
``E013``            the broker cannot have a queue or exchange of this name
``E014``            two queues have one name on the broker
``E015``            an argument that RabbitMQ refuses for this type of queue
``E016``            ``SOURCE`` cannot be the source of an event
``E017``            ``USE_TZ`` is off, and SQLite keeps no instants without it
``E018``            ``OUTBOX_KEEP`` is ``"until_received"`` on a broker that routes itself
``E025``            ``ALERTS`` names a function that cannot be imported or called
``E026``            ``TRACING`` is on, and its package is missing
``W001``            SQLite begins transactions that cannot wait for their turn to write
``W002``            SQLite is not in WAL mode, so readers and the writer stop each other
``W003``            SQLite waits less than five seconds for its turn
``W004``            ``LEASE`` is shorter than four waits for SQLite
``W005``            ``LEASE`` is shorter than five seconds
``W006``            ``ACCEPT`` lets senders run code here
``W007``            a pattern with ``*`` or ``#`` inside a word, where it is no wildcard
``W008``            a queue in ``QUEUES`` that no subscription uses
``W009``            ``memory://`` reaches no other process
``W010``            ``OUTBOX_KEEP`` is ``"until_confirmed"`` on a broker that does not confirm
``W011``            ``django://alias`` where ``DATABASE`` says another alias
``W012``            queue arguments on a broker that reads none
``W013``            ``ACCEPT`` lets few bytes stand for very many values
``W014``            ``UNSIGNED`` is ``"accept"`` although there are ``SIGNING_KEYS``
``W015``            ``@publishes`` has a routing key with a word that is a wildcard in patterns
``W025``            ``ALERTS`` waits for events on a queue that no subscription uses
``I001``            psycopg 2 cannot be woken by PostgreSQL, so workers look every 25 ms
==================  =============================================================================

None of them opens a socket. Only one asks a database, and runs with ``check --database`` and
``migrate``: it sees whether SQLite is in WAL mode (``W002``). A name refused by ``@subscribe``
never gets here: that raises where it is written.
"""

from __future__ import annotations

from . import alerts, brokers, configuration, databases, events, queues

__all__ = ["alerts", "brokers", "configuration", "databases", "events", "queues"]
