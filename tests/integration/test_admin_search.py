"""Does the search box find what is asked, quickly, and say what it does not understand?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from taskrouting import topics
from taskrouting.admin import audit, limits, paging, walking
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from tests.integration import admin_site
from tests.integration.admin_site import page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

DAY = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def ada(client):
    """Somebody who may view everything."""
    user = admin_site.staff("ada", *admin_site.views())
    client.force_login(user)
    with timezone.override(UTC):
        yield user


def changes(client, model, **query: str):
    """The list that a search finds."""
    return client.get(page(model), query).context["cl"]


def found(client, model, query: str) -> list[str]:
    """The events that a search finds."""
    return [row.event_id for row in changes(client, model, q=query).result_list]


def log(number: int) -> None:
    """Entries ``l-0`` and up of the audit log, one a minute, under seven keys."""
    columns = [field.column for field in AuditLog._meta.fields if field.column != "id"]
    minutes = {
        "postgresql": "timestamptz '2026-11-01 00:00Z' + i * interval '1 minute'",
        "sqlite": "datetime('2026-11-01', i || ' minutes')",
    }
    values = {
        "event_id": "'l-' || i",
        "routing_key": "'page.view.' || (i %% 7)",
        "data": "'{}'",
        "extensions": "'{}'",
        "relayed_at": "NULL",
        "occurred_at": minutes[connection.vendor],
        "recorded_at": "CURRENT_TIMESTAMP",
    }
    chosen = ", ".join(values.get(column, "''") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO taskrouting_auditlog ({', '.join(columns)}) "  # noqa: S608  # ours
            "WITH RECURSIVE numbers (i) AS "
            "(SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < %s) "
            f"SELECT {chosen} FROM numbers ORDER BY i",
            [number],
        )


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("key:video.#", "dcb"),
        ("key:video.*", "cb"),
        ("key:#.upload", "db"),
        ("key:*.upload", "b"),
        ("key:#.hd.#", "d"),
        ("video.#", "dcb"),
        ("key:#", "edcba"),
        ("key:none.#", ""),
        ("actor:ana", "ca"),
        ("actor:ana key:video.#", "c"),
        ("subject:v/1 key:video.#", "dc"),
        ("after:2026-11-02", "edc"),
        ("before:2026-11-02", "ba"),
        ("after:2026-11-02T12:00:00 before:2026-11-04", "c"),
        ("after:2026-11-02 key:video.#", "dc"),
        ("before:2026-11-03 actor:ana", "ca"),
        ("after:2026-11-02T12:00+02:00 before:2026-11-02T12:00:01Z", "c"),
    ],
)
def test_terms_combine_to_what_they_say(client, query, events):
    """Patterns as on the broker, times in the reader's zone, subjects, actors; all at once."""
    entry = admin_site.entry
    entry(event_id="a", routing_key="user.login", actor="ana", occurred_at=DAY, subject="")
    entry(event_id="b", occurred_at=DAY + timedelta(hours=12), actor="", subject="")
    entry(event_id="c", routing_key="video.ready", actor="ana", subject="v/1",
          occurred_at=DAY + timedelta(hours=36))  # fmt: skip
    entry(event_id="d", routing_key="video.hd.upload", subject="v/1", actor="",
          occurred_at=DAY + timedelta(days=3))  # fmt: skip
    entry(event_id="e", routing_key="userx", occurred_at=DAY + timedelta(days=4), actor="")

    assert found(client, AuditLog, query) == list(events)


@pytest.mark.parametrize("model", [Delivery, DeadLetter, Message], ids=lambda each: each.__name__)
def test_other_tables_know_patterns_subjects_and_times(client, model):
    """Times by when a row was written, subjects through the audit log."""
    make = {Delivery: admin_site.delivery, DeadLetter: admin_site.letter}.get(
        model, admin_site.message
    )
    admin_site.entry(event_id="two", subject="videos/2")
    for name, key in (("one", "user.login"), ("two", "video.upload"), ("three", "video.ready")):
        make(event_id=name, routing_key=key)
    clock = "received_at" if model is Delivery else "created_at"
    for days, row in enumerate(model.objects.order_by("pk")):
        model.objects.filter(pk=row.pk).update(**{clock: DAY + timedelta(days=days)})

    assert found(client, model, "key:video.#") == ["three", "two"]
    assert found(client, model, "subject:videos/2") == ["two"]
    assert found(client, model, "after:2026-11-02") == ["three", "two"]
    assert found(client, model, "after:2026-11-02 before:2026-11-03") == ["two"]
    assert found(client, model, "before:2026-11-02 key:#.login") == ["one"]
    assert found(client, model, "before:2026-10-01") == []


def test_a_page_below_a_row_begins_there_whatever_the_time_would_allow(client):
    """Nothing bounds the rows from further above: SQLite may walk from the wrong one of two."""
    rows = [admin_site.delivery(event_id=f"e-{number}") for number in range(4)]
    asked = {"q": "before:2999-01-01", "p": f"before-{rows[2].pk}"}
    with CaptureQueriesContext(connection) as queries:
        listed = client.get(page(Delivery), asked).context["cl"].result_list

    assert [row.event_id for row in listed] == ["e-1", "e-0"]
    walked = [each["sql"] for each in queries if '"received_at" <' in each["sql"]]
    bounds = [re.findall(r'"id" < \(?(\d+)', sql) for sql in walked if "RECURSIVE" not in sql]
    assert bounds
    assert {number for each in bounds for number in each} == {str(rows[2].pk)}


def test_a_day_begins_in_the_readers_time_zone(client):
    """After midnight in Berlin it was still yesterday in UTC."""
    admin_site.entry(event_id="late", occurred_at=datetime(2026, 10, 31, 23, 30, tzinfo=UTC))

    assert found(client, AuditLog, "after:2026-11-01") == []
    with override_settings(TIME_ZONE="Europe/Berlin"), timezone.override("Europe/Berlin"):
        assert found(client, AuditLog, "after:2026-11-01") == ["late"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sujbect:x", "did you mean “subject:”"),
        ("befor:2026-11-01", "Understood: event: key: correlation: cause: subject: actor: after:"),
        ("after:yesterday", "“yesterday” is no time: write 2026-11-01"),
        ("after:2026-02-30", "is no time"),
        ("after:2026-11-02 before:2026-11-01", "swap them"),
        ("key:vid*", "In “vid*” the sign stands for itself"),
        ("key:#.a.#.b.#.c.#", "no more than 3 times #"),
    ],
)
def test_a_mistake_is_answered_with_what_is_understood(client, query, told):
    """Instead of an empty list that looks like an answer."""
    admin_site.entry()

    response = client.get(page(AuditLog), {"q": query})

    assert told in response.context["cl"].trouble
    assert response.context["cl"].trouble in response.content.decode().replace("&#x27;", "'")


def test_the_id_of_a_foreign_event_may_look_like_a_term(client):
    """Colons are common in ids of others."""
    admin_site.entry(event_id="urn:uuid:7")

    assert found(client, AuditLog, "urn:uuid:7") == ["urn:uuid:7"]


words = st.lists(st.sampled_from(["", "a", "ab", "a-b", "(", "\\"]), min_size=1, max_size=5)
wild = st.sampled_from(["#", "*", "a", "ab", "a-b", "(", "\\"])
patterns = st.lists(wild, min_size=1, max_size=5)


def test_the_databases_patterns_are_the_brokers(client):
    """Whatever the pattern, the expression finds the keys that ``topics.matches`` does."""

    @settings(max_examples=50)
    @given(patterns.map(".".join), st.lists(words.map(".".join), min_size=1, max_size=8))
    def agree(pattern, keys):
        with connection.cursor() as cursor:
            sign = "~" if connection.vendor == "postgresql" else "REGEXP"
            for key in {key for key in keys if key}:
                cursor.execute(f"SELECT %s {sign} %s", [key, topics.expression(pattern)])
                assert bool(cursor.fetchone()[0]) == topics.matches(pattern, key), (pattern, key)

    agree()


def test_a_rare_thing_is_looked_for_page_by_page(client, monkeypatch):
    """Where no index helps, a page looks at so many rows, says how far, and the next goes on."""
    monkeypatch.setattr(walking, "WINDOW", 100)
    log(250)
    AuditLog.objects.filter(event_id__in=["l-3", "l-120", "l-240"]).update(actor="ana")
    seen, reached, address = [], [], "?q=actor:ana"
    while address:
        response = client.get(page(AuditLog) + address)
        listed = response.context["cl"]
        seen.append([row.event_id for row in listed.result_list])
        reached.append(listed.reached.event_id if listed.reached else None)
        assert ("Look further" in response.content.decode()) == bool(listed.reached)
        address = listed.older

    assert seen == [["l-240"], ["l-120"], ["l-3"]]
    assert reached == ["l-150", "l-50", None]
    while not (back := client.get(page(AuditLog) + listed.newer).context["cl"]).result_list:
        assert back.further == back.newer
        listed = back
    assert [row.event_id for row in back.result_list] == ["l-120"]


@pytest.mark.parametrize(
    "query", ["key:page.view.#", "before:2026-11-05", "before:2026-11-05 key:#.3"]
)
def test_leafing_in_every_order_shows_every_row_once(client, query):
    """Merged keys and times are walked as the plain list is, also where times are equal."""
    log(230)
    AuditLog.objects.filter(pk__gt=AuditLog.objects.first().pk + 100).update(
        occurred_at=DAY + timedelta(minutes=101)
    )
    seen, address = [], f"?q={query.replace('#', '%23')}"
    while address:
        listed = client.get(page(AuditLog) + address).context["cl"]
        seen += [row.event_id for row in listed.result_list]
        address = listed.older

    expected = [f"l-{each}" for each in reversed(range(230))]
    if "key:#.3" in query:
        expected = [f"l-{each}" for each in reversed(range(230)) if each % 7 == 3]
    assert seen == expected
    newer = client.get(page(AuditLog) + listed.newer).context["cl"] if listed.newer else None
    if newer:
        size = len(newer.result_list)
        end = len(seen) - len(listed.result_list)
        assert [row.event_id for row in newer.result_list] == seen[end - size : end]


def test_a_key_that_is_one_of_too_many_is_found_all_the_same(client, monkeypatch):
    """With more keys than are looked through, rows are looked at instead."""
    monkeypatch.setattr(audit, "MOST_KEYS", 3)
    log(20)

    assert len(found(client, AuditLog, "key:page.*.3")) == 3


def test_the_last_of_many_pages_asks_no_more_than_the_first(client):
    """Nor does one that is searched for."""
    log(10_000)
    lowest = AuditLog.objects.order_by("pk").first().pk
    costs = []
    for address in ("", f"?p=before-{lowest + 60}", "?q=key:page.view.%23", "?q=actor:nobody",
                    f"?q=before:2026-11-02&p=before-{lowest + 60}"):  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            client.get(page(AuditLog) + address)
        costs.append(len(queries))

    assert max(costs) <= 15


def test_what_takes_too_long_ends_in_a_sentence(client, monkeypatch):
    """The database is told to stop; the page comes, and asks to narrow the search."""
    log(2_000)
    monkeypatch.setattr(paging, "patience", lambda using: limits.patience(using, 0.001))
    monkeypatch.setattr(walking.Walk, "page", lambda self, *place: _slowly(self.rows))

    listed = changes(client, AuditLog)

    assert "Narrow it" in listed.trouble
    assert AuditLog.objects.count() == 2_000  # the connection still works, and is not limited


def _slowly(rows):
    """A page that reads every row against every other."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM taskrouting_auditlog a, taskrouting_auditlog b "
            "WHERE a.subject || b.actor = 'x'"
        )
        return walking.Page([], cursor.fetchone()[0])
