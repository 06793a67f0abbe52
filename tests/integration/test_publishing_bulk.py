"""Do bulk writes on an ``EventQuerySet`` publish what single writes would?"""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import NotSupportedError, models, transaction
from django.db.models.functions import Upper

from taskrouting import EventQuerySet
from tests.published import capturing, published, routing_keys
from tests.shop.models import Article, Coupon, Order

pytestmark = pytest.mark.django_db


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
