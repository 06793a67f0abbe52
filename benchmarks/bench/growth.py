"""How are tables made large? With rows like those that the product writes, in one statement each.

That is done once per run, in a database that is then copied for each measurement.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from . import postgres, programs
from .place import POSTGRES, Place
from .postgres import Database

#: Rows in ledger and audit log; events in the outbox. The environment may ask for fewer.
OLD_ROWS = int(os.environ.get("BENCH_OLD_ROWS", 10_000_000))
MANY, FEW = int(os.environ.get("BENCH_WAITING", 1_000_000)), 10_000

_ID = "to_char(n, 'FM00000000') || '-0000-7000-8000-000000000000'"

LEDGER = f"""INSERT INTO taskrouting_delivery (event_id, source, subscription, queue, routing_key,
    state, attempts, crashes, suspect, errors, worker, received_at, started_at, finished_at)
    SELECT {_ID}, 'bench', 'bench', 'bench_queue', 'bench.row', 'handled', 1, 0, false, '[]', '',
    now(), now(), now() FROM generate_series(1, {{count}}) AS n"""  # noqa: S608

AUDIT = f"""INSERT INTO taskrouting_auditlog (event_id, source, routing_key, subject, actor,
    correlation_id, causation_id, traceparent, data, extensions, occurred_at, relayed_at)
    SELECT {_ID}, 'bench', 'bench.row', '', '', {_ID}, '', '',
    jsonb_build_object('number', n, 'kind', 'upload', 'title', repeat('x', 100)), '{{{{}}}}',
    now(), now() FROM generate_series(1, {{count}}) AS n"""  # noqa: S608

#: Copies of the one event that waits, under ids of their own; a thousand were published at once.
OUTBOX = f"""INSERT INTO taskrouting_message (queue, event_id, source, exchange, routing_key,
    subscription, body, headers, properties, content_type, content_encoding, priority, deliveries,
    available_at)
    SELECT queue, {_ID}, source, exchange, routing_key, subscription,
    convert_to(replace(convert_from(body, 'UTF8'), event_id, {_ID}), 'UTF8'), headers,
    replace(properties::text, event_id, {_ID})::jsonb, content_type, content_encoding, priority,
    deliveries, available_at + n / 1000 * interval '1 ms' - interval '1 hour'
    FROM taskrouting_message, generate_series(1, {{count}} - 1) AS n"""  # noqa: S608


def old_rows(place: Place) -> str:
    """Return a database with many rows in ledger and audit log, made when first asked for."""
    return _made(place, "old", [LEDGER, AUDIT], OLD_ROWS)


def waiting(place: Place, count: int) -> str:
    """Return a database with ``count`` events in the outbox, made when first asked for."""
    return _made(place, f"waiting{count}", [OUTBOX], count)


def _made(place: Place, word: str, statements: Sequence[str], count: int) -> str:
    name = f"{place.name}_{word}"
    if not postgres.exists(POSTGRES, name):
        if word != "old":
            programs.run(programs.site("enqueue", "ours", "1"), place.our_env("handler"))
        database = Database(place.database_url)
        for statement in statements:
            database.execute(statement.format(count=count))
        database.execute("VACUUM ANALYZE")
        database.close()
        postgres.create(POSTGRES, name, place.name)
    return name
