"""Do the admin's lists stay fast, and find what they are asked for?"""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskrouting import publishes, subscribe
from taskrouting.models import (
    AuditLog,
    Dashboard,
    DeadLetter,
    Delivery,
    Event,
    Message,
    Topology,
)  # fmt: skip
from taskrouting.publishing import declarations
from tests.integration import admin_site
from tests.integration.admin_site import TABLES, page, story

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

#: What a list must never ask of a table that grows.
SLOW = re.compile(r"\bCOUNT\(|\bDISTINCT\b|\bOFFSET\b", re.IGNORECASE)

#: Columns that can be large, by table; a list does not read them.
LARGE = {
    AuditLog: ("data", "extensions"),
    DeadLetter: ("body", "headers", "properties", "error"),
    Delivery: ("errors", "result"),
    Message: ("body", "headers", "properties"),
}

EVENT_ID = str(uuid4())


@pytest.fixture(autouse=True)
def ada(client):
    """Somebody who may view everything, and redrive and discard."""
    powers = ("redrive_deadletter", "discard_deadletter")
    user = admin_site.staff("ada", *admin_site.views(), *powers)
    client.force_login(user)
    return user


def asked(client, address: str, **posted) -> list[str]:
    """The SQL that a page of ours runs on our tables."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.post(address, posted) if posted else client.get(address)
    assert response.status_code in (200, 302), address
    return [query["sql"] for query in captured if "taskrouting_" in query["sql"]]


def choices(client, address: str) -> list[str]:
    """Every choice of every filter beside a list."""
    changes = client.get(address).context["cl"]
    return [
        address + choice["query_string"]
        for spec in changes.filter_specs
        for choice in spec.choices(changes)
    ]


def listed(client, model, query: str) -> list[str]:
    """The events that a search finds."""
    changes = client.get(page(model), {"q": query}).context["cl"]
    return [row.event_id for row in changes.result_list]


def test_no_list_counts_or_compares_rows(client):
    """No COUNT, no DISTINCT, no OFFSET: plain, filtered by every choice, searched, or far down."""
    subscribe("video.#", "video.upload", queue="video_queue", name="transcoder")(print)
    for _ in range(3):
        admin_site.entry(event_id=str(uuid4()))
        admin_site.letter()
        admin_site.message()
    rows = admin_site.one_of_each()
    places = ("?q=e-1", f"?q={EVENT_ID}", "?q=correlation:c-1", "?p=before-3", "?p=after-1")
    lists = [page(table) for table in TABLES]
    addresses = [
        *lists,
        *(address + place for address in lists for place in places),
        *(choice for address in lists for choice in choices(client, address)),
        *(page(row, "change") for row in rows),
    ]
    assert len(addresses) > 70

    queries = {address: asked(client, address) for address in addresses}

    assert all(queries.values())
    assert [(at, sql) for at, found in queries.items() for sql in found if SLOW.search(sql)] == []


@pytest.mark.parametrize("action", ["redrive", "discard"])
def test_no_action_counts_rows(client, action):
    """Neither taking an action nor asking for its reason counts the table."""
    letter = admin_site.letter(delivery=admin_site.delivery().pk)
    posted = {"action": action, "_selected_action": [str(letter.pk)], "index": "0"}

    queries = asked(client, page(DeadLetter), **posted)

    assert queries
    assert [sql for sql in queries if SLOW.search(sql)] == []


@pytest.mark.parametrize("model", LARGE, ids=lambda model: model.__name__)
def test_a_list_leaves_large_columns_in_the_database(client, model):
    """Fifty bodies of a megabyte each would be read to show fifty lines."""
    admin_site.one_of_each()

    (sql,) = asked(client, page(model))

    columns = sql.partition(" FROM ")[0]
    table = model._meta.db_table
    whole = [f'"{table}"."{column}"' for column in LARGE[model]]
    read = [column for column in columns.split(", ") if column.strip() in whole]
    assert read == []


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__name__)
def test_a_list_costs_the_same_however_long_it_is(client, model):
    """Every list is one query, whatever is on it."""
    admin_site.one_of_each()
    few = asked(client, page(model))
    for number in range(5):
        admin_site.entry(event_id=f"more-{number}")
        admin_site.letter()
        admin_site.message()
        admin_site.delivery(event_id=f"more-{number}")

    many = asked(client, page(model))

    assert len(few) == len(many) == 1


def test_leafing_down_and_up_shows_every_row_once(client):
    """Pages neither skip nor repeat, although new rows arrive on top meanwhile."""
    for number in range(120):
        admin_site.entry(event_id=f"e-{number}")
    seen: list[str] = []
    address, changes = page(AuditLog), None
    while changes is None or changes.older:
        changes = client.get(address).context["cl"]
        seen += [row.event_id for row in changes.result_list]
        address = page(AuditLog) + changes.older
        admin_site.entry(event_id=f"late-{len(seen)}")

    assert seen == [f"e-{number}" for number in reversed(range(120))]
    assert len(changes.result_list) == 20
    back = client.get(page(AuditLog) + changes.newer).context["cl"]
    assert [row.event_id for row in back.result_list] == seen[50:100]


def test_leafing_up_ends_on_the_whole_newest_page(client):
    """At the top there is nothing newer, and the page is as full as it can be."""
    for number in range(60):
        admin_site.entry(event_id=f"e-{number}")
    second = client.get(page(AuditLog) + "?p=before-11").context["cl"]

    top = client.get(page(AuditLog) + second.newer).context["cl"]
    top = client.get(page(AuditLog) + top.newer).context["cl"] if top.newer else top

    assert (len(top.result_list), top.newer, top.newest) == (50, "", "")
    assert top.older


@pytest.mark.parametrize("place", ["before-x", "1", "-1", "before-", "after-999999999999999999999"])
def test_a_place_that_is_none_is_the_first_page(client, place):
    """A broken link shows the newest rows instead of an error."""
    admin_site.entry()

    changes = client.get(page(AuditLog), {"p": place}).context["cl"]

    assert len(changes.result_list) == 1


def test_leafing_keeps_search_and_filters(client):
    """The next page is the next page of what was asked for."""
    for number in range(110):
        admin_site.entry(event_id=f"e-{number}", correlation_id="c-1" if number % 2 else "c-2")

    asked_for = {"q": "correlation:c-1", "within": "1"}
    first = client.get(page(AuditLog), asked_for).context["cl"]
    second = client.get(page(AuditLog) + first.older).context["cl"]

    found = [row.event_id for row in (*first.result_list, *second.result_list)]
    assert found == [f"e-{number}" for number in reversed(range(110)) if number % 2]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("one", ["one"]),
        ("video.upload", ["one"]),
        ("c-1", ["two", "one"]),
        ("event:two", ["two"]),
        ("key:video.ready", ["two"]),
        ("correlation:c-1", ["two", "one"]),
        ("cause:one", ["two"]),
        ("subject:videos/2", ["two"]),
        ("correlation:c-1 key:video.ready", ["two"]),
        ('event:"an odd one"', ["an odd one"]),
        ("'an odd one'", ["an odd one"]),
        ("vid", []),
        ("bunny", []),
        ('"', []),
        ("event:", []),
    ],
)
def test_a_search_finds_exactly_what_was_typed(client, query, found):
    """Whole values in indexed columns; a part of a word or of the data finds nothing."""
    admin_site.entry(event_id="one")
    admin_site.entry(
        event_id="two", routing_key="video.ready", causation_id="one", subject="videos/2"
    )
    admin_site.entry(event_id="an odd one", routing_key="other", correlation_id="c-3", source="x")

    assert listed(client, AuditLog, query) == found


@pytest.mark.parametrize("model", [Delivery, DeadLetter, Message], ids=lambda each: each.__name__)
def test_other_tables_are_searched_by_conversation_too(client, model):
    """Only the audit log knows correlations; the others are searched through it."""
    admin_site.entry(event_id=EVENT_ID, correlation_id="c-1")
    make = {Delivery: admin_site.delivery, DeadLetter: admin_site.letter}
    for event_id in (EVENT_ID, "e-2"):
        make.get(model, admin_site.message)(event_id=event_id)

    for query in ("c-1", "correlation:c-1", EVENT_ID, f"event:{EVENT_ID}"):
        assert listed(client, model, query) == [EVENT_ID], query
    assert listed(client, model, "video.upload") == ["e-2", EVENT_ID]
    assert listed(client, model, "key:video.upload event:e-2") == ["e-2"]


def user_data(user):
    """Stand in for what a project tells of its users."""
    return {}


def test_filters_offer_what_the_code_knows(client):
    """Queues and subscriptions come from the code, and a value it forgot still filters."""
    subscribe("video.#", "audio.*", "text", queue="video_queue", name="transcoder")(print)
    publishes(User, created="user.created", updated="user.status.{username}")(user_data)
    admin_site.delivery(event_id="ours")
    admin_site.delivery(event_id="old", subscription="renamed")

    changes = client.get(page(Delivery), {"subscription": "renamed"}).context["cl"]
    offered = {
        spec.title: [c[0] for c in getattr(spec, "lookup_choices", [])]
        for spec in changes.filter_specs
    }
    by_key = client.get(page(AuditLog)).context["cl"].filter_specs[1]
    declarations.registry.remove(user_data)

    assert offered["subscription"] == ["renamed", "taskrouting.audit", "transcoder"]
    assert [row.event_id for row in changes.result_list] == ["old"]
    assert by_key.title == "declared routing key"  # the search box takes the others
    declared = ["text", "user.created", "user.status.#", "video.#"]
    assert [pattern for pattern, label in by_key.lookup_choices] == declared


def test_a_pattern_filters_the_routing_keys_it_matches(client):
    """``video.#`` wants ``video`` and what begins with ``video.``, as in a binding."""
    keys = ("video", "video.upload", "video.a.b", "videos", "my.video")
    for key in keys:
        admin_site.entry(event_id=key, routing_key=key)

    found = client.get(page(AuditLog), {"pattern": "video.#"}).context["cl"].result_list
    exact = client.get(page(AuditLog), {"pattern": "video"}).context["cl"].result_list

    assert sorted(row.event_id for row in found) == ["video", "video.a.b", "video.upload"]
    assert [row.event_id for row in exact] == ["video"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL scans what is small anyway")
def test_searches_and_stories_read_the_audit_log_by_its_indexes(client):
    """SQLite leaves out empty values from its index only for a query that leaves them out too."""
    entry = admin_site.one_of_each().entry
    terms = (
        "e-1",
        EVENT_ID,
        "correlation:c-1",
        "cause:e-1",
        "subject:videos/1",
        "key:video.upload",
    )
    addresses = [f"{page(AuditLog)}?q={term}" for term in terms] + [
        page(entry, "change"), story("e-1"), story("e-1", "tests"),
    ]  # fmt: skip

    queries = [sql for address in addresses for sql in asked(client, address)]

    with connection.cursor() as cursor:
        plans = {
            sql: str(cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()) for sql in queries
        }
    assert len(plans) > len(addresses)
    assert [sql for sql, plan in plans.items() if "SCAN taskrouting_auditlog" in plan] == []


@pytest.mark.parametrize("guess", ["hunter", "nope"])
def test_no_address_finds_out_what_is_hidden(client, guess):
    """A value under a sensitive name cannot be guessed by asking for rows that begin with it."""
    admin_site.entry(data={"password": "hunter2"})
    address = page(AuditLog)

    assert client.get(f"{address}?data__password__startswith={guess}").status_code == 400
    assert client.get(f"{page(Delivery)}?result__startswith={guess}").status_code == 400
    assert client.get(f"{page(Delivery)}?state__exact=dead").status_code == 200


@pytest.mark.parametrize("asked_for", ["q=after:0001-01-01", "q=before:9999-12-31T23:59:59"])
def test_the_ends_of_the_calendar_can_be_asked_for(client, asked_for):
    """Before everything, and after everything."""
    admin_site.delivery()
    for model in (AuditLog, Delivery, DeadLetter):
        assert client.get(f"{page(model)}?{asked_for}").status_code == 200


def test_a_character_that_no_text_has_is_refused(client):
    """PostgreSQL keeps no NUL; whoever asks for one is told so, and nothing breaks."""
    addresses = [f"{page(model)}?q=%00" for model in TABLES]
    addresses += [
        page(Event) + end for end in ("?q=%00", "%00/", "conversation/%00/", "a/?source=%00")
    ]
    addresses += [f"{page(Dashboard)}?queue=%00", f"{page(Topology)}?pattern=%00"]

    for address in addresses:
        assert client.get(address).status_code == 400, address
