"""Do bulk writes on an ``EventQuerySet`` publish what single writes would?"""

from __future__ import annotations

import threading

import pytest
from asgiref.sync import async_to_sync
from django.db import NotSupportedError, connection, models, transaction
from django.db.models import Count, F
from django.db.models.functions import Upper

from taskrouting import EventQuerySet
from tests.published import capturing, published, routing_keys, somebody_waits_for_us
from tests.shop.models import Article, Coupon, Line, Order
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def remote_broker(settings):
    """A broker somewhere else: every event is one row of the outbox, and costs no other query."""
    settings.TASKROUTING = {**settings.TASKROUTING, "BROKER_URL": "amqp://nowhere.invalid"}


def names_and_changes():
    """What the waiting events say: whose they are, and what changed."""
    return [(event.data["name"], event.data["changed"]) for event in published()]


def name(article):
    """The data of an article's event."""
    return {"name": article.name}


def test_bulk_create_publishes_each_row_with_its_key():
    """Every inserted row is a created event, and its function knows the key."""
    with capturing(Article, lambda article: article.pk, created="article.{name}"):
        made = Article.objects.bulk_create([Article(name="pen"), Article(name="ink")])

    assert routing_keys() == ["article.pen", "article.ink"]
    assert [event.data for event in published()] == [article.pk for article in made]


def test_bulk_create_reads_expressions_back():
    """The function sees what the database made of an expression, and what it generated."""
    with capturing(Article, lambda article: [article.name, article.value], created="article"):
        Article.objects.bulk_create(
            [Article(name=Upper(models.Value("pen")), price=2, stock=3), Article(name="ink")]
        )

    assert [event.data for event in published()] == [["PEN", "6.00"], ["ink", "0.00"]]


@pytest.mark.usefixtures("remote_broker")
def test_bulk_create_takes_one_insert_for_all_events(django_assert_num_queries):
    """Fifty rows cost one statement, and so do their events."""
    rows = [Article(name=f"pen {number}") for number in range(50)]
    with capturing(Article, created="article.created"), django_assert_num_queries(2):
        Article.objects.bulk_create(rows)

    assert len(published()) == 50


@pytest.mark.parametrize(
    "conflicts",
    [
        {"ignore_conflicts": True},
        {"update_conflicts": True, "update_fields": ["stock"], "unique_fields": ["name"]},
    ],
)
def test_bulk_create_with_conflicts_is_refused_where_events_are_due(conflicts):
    """Nobody knows which rows were inserted, so no event is better than a wrong one."""
    [option, *_] = conflicts
    with (
        capturing(Article, created="article.created"),
        pytest.raises(NotSupportedError, match=option),
    ):
        Article.objects.bulk_create([Article(name="pen")], **conflicts)

    assert not Article.objects.exists()


def test_bulk_create_with_conflicts_works_where_no_events_are_due():
    """Who captures deletions only may insert as they like."""
    with capturing(Article, deleted="article.deleted"):
        Article.objects.bulk_create([Article(name="pen")] * 2, ignore_conflicts=True)

    assert Article.objects.count() == 1


def test_update_publishes_only_rows_that_changed():
    """One event per row that is different, with its own old value; none for the rest."""
    Article.objects.bulk_create(
        [Article(name="pen", stock=1), Article(name="ink", stock=2), Article(name="nib", stock=9)]
    )
    with capturing(Article, name, updated="article.updated", fields=["stock"]):
        count = Article.objects.filter(name__in=["pen", "ink"]).update(stock=2)

    assert count == 2
    assert names_and_changes() == [("pen", {"stock": {"old": 1, "new": 2}})]


def test_update_reads_expressions_back():
    """``F()`` and generated fields are published as the numbers they became."""
    Article.objects.bulk_create([Article(name="pen", price=2, stock=1), Article(name="ink")])
    with capturing(Article, name, updated="article.updated"):
        Article.objects.update(stock=F("stock") + 1)

    assert names_and_changes() == [
        ("pen", {"stock": {"old": 1, "new": 2}, "value": {"old": "2.00", "new": "4.00"}}),
        ("ink", {"stock": {"old": 0, "new": 1}, "value": {"old": "0.00", "new": "1.00"}}),
    ]


def test_update_publishes_rows_that_no_longer_match_its_filter():
    """What the filter asked for may be just what the update changes."""
    Article.objects.create(name="pen", stock=1)
    with capturing(Article, name, updated="article.updated", fields=["stock"]):
        Article.objects.filter(stock=1).update(stock=0)

    assert names_and_changes() == [("pen", {"stock": {"old": 1, "new": 0}})]


def test_update_works_through_annotations_distinct_and_order():
    """Whatever queryset Django can update, this one can."""
    Article.objects.bulk_create([Article(name="pen", stock=1), Article(name="ink", stock=2)])
    order = Order.objects.create(number="A1")
    Line.objects.bulk_create([Line(order=order, sku="pen"), Line(order=order, sku="pen")])
    twice = Article.objects.annotate(twice=F("stock") * 2).filter(twice__gt=2)
    with capturing(Article, name, updated="article.updated", fields=["stock"]):
        twice.order_by("-twice").update(stock=F("twice"))
    with capturing(Order, lambda order: {"name": order.number}, updated="order.updated"):
        bought = EventQuerySet(Order).filter(lines__sku="pen").distinct()
        bought.annotate(articles=Count("lines")).filter(articles=2).update(status="paid")

    assert names_and_changes() == [
        ("ink", {"stock": {"old": 2, "new": 4}}),
        ("A1", {"status": {"old": "new", "new": "paid"}}),
    ]


def test_update_forgets_the_rows_it_had_read():
    """A queryset that was read before is read again after, as with Django's own."""
    Article.objects.create(name="pen", stock=1)
    rows = Article.objects.all()
    assert [row.stock for row in rows] == [1]
    with capturing(Article, updated="article.updated"):
        rows.update(stock=2)

    assert [row.stock for row in rows] == [2]


def test_update_of_fields_that_nobody_asked_for_is_djangos(django_assert_num_queries):
    """Where no event can come of it, an update is one statement."""
    Article.objects.create(name="pen")
    with (
        capturing(Article, updated="article.updated", fields=["stock"]),
        django_assert_num_queries(1),
    ):
        Article.objects.update(name="ink")


@pytest.mark.usefixtures("remote_broker")
def test_update_takes_few_statements_however_many_rows(django_assert_num_queries):
    """Old values, the update, new values, and one INSERT for the events."""
    Article.objects.bulk_create([Article(name=f"pen {number}") for number in range(50)])
    with capturing(Article, updated="article.updated"), django_assert_num_queries(4):
        Article.objects.update(stock=1)

    assert len(published()) == 50


def test_update_of_more_rows_than_one_statement_can_name_publishes_all():
    """Rows and events go in pieces where the database has a limit."""
    Article.objects.bulk_create([Article(name=f"pen {number}") for number in range(1200)])
    with capturing(Article, updated="article.updated", fields=["stock"]):
        assert Article.objects.update(stock=1) == 1200

    assert len(published()) == 1200


@pytest.mark.parametrize("key", ["pk", "id"])
def test_update_of_the_key_is_refused(key):
    """A row with a new key is another row, and no update could say so."""
    Article.objects.create(name="pen")
    with (
        capturing(Article, updated="article.updated"),
        pytest.raises(NotSupportedError, match="primary key"),
    ):
        Article.objects.update(**{key: 7})


def test_updates_that_django_refuses_are_refused_in_its_words():
    """A slice cannot be updated, captured or not."""
    with (
        capturing(Article, updated="article.updated"),
        pytest.raises(TypeError, match="slice"),
    ):
        Article.objects.all()[:1].update(stock=1)


def test_bulk_update_publishes_each_row_that_changed():
    """``bulk_update()`` is built on ``update()``, and so are its events."""
    pen, ink = Article.objects.bulk_create([Article(name="pen"), Article(name="ink", stock=2)])
    pen.stock = 5
    with capturing(Article, name, updated="article.updated", fields=["stock"]):
        Article.objects.bulk_update([pen, ink], ["stock"])

    assert names_and_changes() == [("pen", {"stock": {"old": 0, "new": 5}})]


def test_a_rolled_back_bulk_write_takes_its_events_along():
    """Rows and events are one transaction, whichever way they are written."""
    with (
        capturing(Article, created="created", updated="updated"),
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        Article.objects.bulk_create([Article(name="pen")])
        Article.objects.update(stock=1)
        raise RuntimeError("changed my mind")

    assert published() == []


def test_keys_of_ones_own_making_work_in_bulk():
    """A UUID as primary key is published like any other."""
    with capturing(Coupon, created="coupon.created", updated="coupon.updated"):
        [coupon] = Coupon.objects.bulk_create([Coupon()])
        Coupon.objects.filter(pk=coupon.pk).update(percent=20)

    assert [event.subject for event in published()] == [f"shop.coupon/{coupon.pk}"] * 2


def test_single_writes_on_the_queryset_publish_once():
    """``create()``, ``get_or_create()`` and ``update_or_create()`` save, and that is all."""
    with capturing(Article, created="created.{name}", updated="updated.{name}"):
        Article.objects.create(name="pen")
        Article.objects.get_or_create(name="ink")
        Article.objects.update_or_create(name="ink", defaults={"stock": 3})

    assert routing_keys() == ["created.pen", "created.ink", "updated.ink"]


def test_the_queryset_serves_any_model():
    """It can be used by hand, with a model whose default queryset is another."""
    with capturing(Order, updated="order.updated"):
        Order.objects.create(number="A1")
        EventQuerySet(Order).update(status="paid")

    assert routing_keys() == ["order.updated"]


@pytest.mark.django_db(transaction=True)
def test_the_asynchronous_twins_publish_too():
    """``abulk_create()``, ``abulk_update()`` and ``aupdate()`` are the others in a thread."""

    async def write():
        [pen] = await Article.objects.abulk_create([Article(name="pen")])
        await Article.objects.aupdate(stock=1)
        pen.stock = 2
        await Article.objects.abulk_update([pen], ["stock"])

    with capturing(Article, created="created", updated="updated"):
        async_to_sync(write)()

    assert routing_keys() == ["created", "updated", "updated"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_two_updates_of_one_row_make_a_chain():
    """The second one's old value is the first one's new value: it waited for the lock."""
    Article.objects.create(name="pen", stock=0)

    def add_ten():
        try:
            Article.objects.filter(name="pen").update(stock=F("stock") + 10)
        finally:
            connection.close()

    second = threading.Thread(target=add_ten)
    with capturing(Article, updated="article.updated", fields=["stock"]):
        with transaction.atomic():
            Article.objects.update(stock=F("stock") + 1)
            second.start()
            wait_until(somebody_waits_for_us, message="the second update to wait")
        second.join(10)

    assert [event.data["changed"]["stock"] for event in published()] == [
        {"old": 0, "new": 1},
        {"old": 1, "new": 11},
    ]
