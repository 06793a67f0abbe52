"""Does anybody learn which routing keys there were lately, without the audit log being read?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from taskrouting.audit import keys
from taskrouting.exceptions import InvalidPattern
from taskrouting.models import AuditLog
from tests.integration import admin_site
from tests.integration.commands import refused, run

pytestmark = pytest.mark.django_db


def record(routing_key: str, count: int = 1, ago: timedelta = timedelta(0)) -> None:
    """Record so many events of so long ago."""
    for _ in range(count):
        number = AuditLog.objects.count()
        occurred = datetime.now(UTC) - ago
        admin_site.entry(event_id=f"e-{number}", routing_key=routing_key, occurred_at=occurred)


def found(pattern: str) -> dict[str, int]:
    """How many events of each routing key a pattern would have caught."""
    return {key.routing_key: key.count for key in keys.caught(pattern).keys}


def test_a_pattern_catches_the_keys_it_matches():
    """By the grammar of the exchange, whatever stands before the wildcards."""
    record("video.upload", 3)
    record("video.upload.large")
    record("video", 2)
    record("user.login")

    assert found("video.#") == {"video": 2, "video.upload": 3, "video.upload.large": 1}
    assert found("*.login") == {"user.login": 1}
    assert found("#") == {"user.login": 1, "video": 2, "video.upload": 3, "video.upload.large": 1}
    assert found("video.upload") == {"video.upload": 3}
    assert found("nothing.#") == {}


def test_only_the_last_days_count():
    """What is older is left out; the rate is by how long ago the first of the rest was."""
    record("video.upload", 5, ago=timedelta(days=30))
    record("video.old", ago=timedelta(days=30))
    record("video.upload", 1, ago=timedelta(hours=10))
    record("video.upload", 19)

    (key,) = keys.caught("video.#").keys
    assert (key.routing_key, key.count, key.more) == ("video.upload", 20, False)
    assert 1.9 < key.an_hour <= 2.0


def test_what_was_not_counted_to_the_end_is_said(monkeypatch):
    """The rate is then that of the newest; a cut list of keys says so."""
    monkeypatch.setattr(keys, "MOST_ROWS", 3)
    record("video.upload", 1, ago=timedelta(hours=100))
    record("video.upload", 3, ago=timedelta(hours=1))

    (key,) = keys.caught("video.#").keys
    assert (key.count, key.more) == (3, True)
    assert 2.9 < key.an_hour < 3.1

    monkeypatch.setattr(keys, "STRIDE", 2)
    for number in range(5):
        record(f"video.{number}")
    assert not keys.caught("video.#").cut
    monkeypatch.setattr(keys, "MOST_KEYS", 2)
    assert keys.caught("video.#").cut


def test_an_empty_record_and_a_bad_pattern_are_answers():
    """Nothing is known yet; and a pattern that no binding could have is refused."""
    assert keys.caught("video.#").since is None
    assert "no event" in run("explain_route", "--pattern", "video.#")
    with pytest.raises(InvalidPattern):
        keys.caught("")
    assert "The pattern" in refused("explain_route", "--pattern", "x" * 300)
    assert "one of them" in refused("explain_route")
    assert "one of them" in refused("explain_route", "video.upload", "--pattern", "video.#")


def test_the_command_says_the_same():
    """For people, and for programs."""
    record("video.upload", 2)

    assert "2\t2.0 an hour\tvideo.upload" in run("explain_route", "--pattern", "video.#")
    told = json.loads(run("explain_route", "--pattern", "video.#", "--json"))
    assert told["routing_keys"] == [
        {"routing_key": "video.upload", "count": 2, "more": False, "an_hour": 2.0}
    ]
    assert told["cut"] is False


def test_a_wildcard_inside_a_word_is_pointed_out():
    """It stands for itself there: whoever wrote it waits for keys in vain, and hears why."""
    sentence = "In 'vid*' the sign stands for itself: * and # stand for whole words."
    assert sentence in run("explain_route", "--pattern", "vid*.upload")  # nothing is recorded yet
    record("video.upload")

    assert sentence in run("explain_route", "--pattern", "vid*.upload")
    assert "stands for itself" not in run("explain_route", "--pattern", "video.*.#")


def test_no_statement_reads_the_whole_table(django_assert_max_num_queries):
    """Every look at the audit log is a step into one of its indexes."""
    record("video.upload", 2)
    statements = []

    def watch(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch), django_assert_max_num_queries(5):
        keys.caught("video.#")

    for sql, params in statements:
        assert "auditlog" in sql
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plan = [row[3] for row in cursor.fetchall()]
            scans = [step for step in plan if "SCAN taskrouting_auditlog" in step]
            assert [step for step in scans if "INDEX" not in step] == [], plan
