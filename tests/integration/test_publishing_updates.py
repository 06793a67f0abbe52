"""Does ``update()`` on an ``EventQuerySet`` publish each row that changed?"""

from __future__ import annotations

import threading

import pytest
from django.db import NotSupportedError, connection, transaction
from django.db.models import Count, F

from taskrouting import EventQuerySet
from tests.published import capturing, published, somebody_waits_for_us
from tests.shop.models import Article, Line, Order
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


def names_and_changes():
    """What the waiting events say: whose they are, and what changed."""
    return [(event.data["name"], event.data["changed"]) for event in published()]


def name(article):
    """The data of an article's event."""
    return {"name": article.name}


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_a_row_that_comes_to_match_meanwhile_is_not_updated_unnoticed():
    """Between reading and writing others may commit; what was not read is not written."""
    Article.objects.create(name="pen", stock=1)

    def insert_ink():
        try:
            Article(name="ink", stock=1).save()
        finally:
            connection.close()

    def before_the_update(execute, sql, *arguments):
        if sql.startswith("UPDATE"):
            other = threading.Thread(target=insert_ink)
            other.start()
            other.join(10)
        return execute(sql, *arguments)

    with (
        capturing(Article, name, updated="article.updated", fields=["stock"]),
        connection.execute_wrapper(before_the_update),
    ):
        Article.objects.filter(stock=1).update(stock=0)

    assert dict(Article.objects.values_list("name", "stock")) == {"pen": 0, "ink": 1}
    assert names_and_changes() == [("pen", {"stock": {"old": 1, "new": 0}})]
