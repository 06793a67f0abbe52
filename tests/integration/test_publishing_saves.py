"""Does every save of a captured model publish what happened, and nothing else?"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save

from taskrouting.exceptions import InvalidEventData, InvalidRoutingKey
from tests.published import capturing, published, routing_keys
from tests.shop.models import Article, Order

pytestmark = pytest.mark.django_db


def test_a_created_row_is_published_with_its_key():
    """The data function of a created event knows the primary key."""
    with capturing(Order, lambda order: {"id": order.pk}, created="order.created"):
        order = Order.objects.create(number="A1")

    [event] = published()
    assert (event.routing_key, event.data) == ("order.created", {"id": order.pk})
    assert event.subject == f"shop.order/{order.pk}"


def test_data_may_hold_what_djangos_encoder_knows():
    """Decimals, dates and UUIDs in the function's value just work."""

    def data(order):
        return {"total": order.total, "on": [date(2026, 1, 2)], "id": (UUID(int=7),)}

    with capturing(Order, data, created="order.created"):
        Order.objects.create(number="A1", total=Decimal("1.50"))

    assert published()[0].data == {
        "total": "1.50",
        "on": ["2026-01-02"],
        "id": ["00000000-0000-0000-0000-000000000007"],
    }


def test_data_that_json_refuses_fails_the_save_and_says_where():
    """Row and event stand or fall together; the error names the place of the value."""
    with (
        capturing(Order, lambda order: {"tags": [{1, 2}]}, created="order.created"),
        pytest.raises(InvalidEventData, match=re.escape("tags[0]")),
        transaction.atomic(),
    ):
        Order.objects.create(number="A1")

    assert not Order.objects.exists()


def test_routing_keys_are_filled_from_the_instance():
    """Values become single words, whatever they hold."""
    order = Order(number="A.1 *", status="paid")
    with capturing(Order, created="order.{status}.{number}.{customer_id}.{total:.1f}"):
        order.save()

    assert routing_keys() == ["order.paid.A_1__.None.0_0"]


def test_a_key_that_cannot_be_filled_fails_the_save():
    """A format over a relation that is not there says which key and which instance."""
    with (
        capturing(Order, created="order.{customer.username}"),
        pytest.raises(InvalidRoutingKey, match=re.escape("{customer.username}")),
    ):
        Order(number="A1").save()


def test_when_decides_with_the_instance_and_what_changed():
    """``when`` sees what changed on an update, and an empty dict for anything else."""
    seen = []

    def when(order, changed):
        seen.append((order.status, changed))
        return order.status == "paid"

    with capturing(Order, created="order.created", updated="order.paid", when=when):
        order = Order.objects.create(number="A1")
        order.status = "paid"
        order.save()

    assert seen == [("new", {}), ("paid", {"status": {"old": "new", "new": "paid"}})]
    assert routing_keys() == ["order.paid"]


def test_the_subject_may_be_ones_own():
    """``subject`` replaces the default name of the instance."""
    with capturing(Order, created="order.created", subject=lambda order: f"order:{order.number}"):
        Order.objects.create(number="A1")

    assert published()[0].subject == "order:A1"


def test_several_captures_of_one_model_each_publish():
    """Declarations add up; each has keys, data and conditions of its own."""
    with (
        capturing(Order, created="order.created"),
        capturing("shop.Order", lambda order: {"to": "crm"}, created="crm.order"),
    ):
        Order.objects.create(number="A1")

    assert [(event.routing_key, event.data) for event in published()] == [
        ("order.created", {}),
        ("crm.order", {"to": "crm"}),
    ]


def test_fixtures_publish_nothing():
    """What a fixture loads has happened before."""
    dumped = serializers.serialize("json", [Order(pk=7, number="A1")])
    with capturing(Order, created="order.created", updated="order.updated"):
        for each in serializers.deserialize("json", dumped):
            each.save()
        Order(pk=7, number="A2").save_base(raw=True)

    assert Order.objects.get().number == "A2"
    assert published() == []


def test_a_rolled_back_savepoint_takes_its_events_along():
    """An event lives exactly as long as its row."""
    with capturing(Order, created="order.{number}"):
        Order.objects.create(number="A1")
        with pytest.raises(RuntimeError), transaction.atomic():
            Order.objects.create(number="A2")
            raise RuntimeError("changed my mind")
        Order.objects.create(number="A3")

    assert routing_keys() == ["order.A1", "order.A3"]


def test_a_save_that_the_database_refuses_publishes_nothing():
    """A failed write is no event, and the instance can be saved again afterwards."""
    with capturing(Article, created="article.{name}", updated="article.updated"):
        Article.objects.create(name="pen")
        article = Article(name="pen")
        with pytest.raises(IntegrityError), transaction.atomic():
            article.save()
        article.name = "ink"
        article.save()

    assert routing_keys() == ["article.pen", "article.ink"]
    assert "_taskrouting_save" not in article.__dict__


def test_a_save_inside_a_save_publishes_both():
    """A receiver that saves the same instance again makes an update of its own."""

    def approve(instance, created, **kwargs):
        if created:
            instance.status = "approved"
            instance.save()

    post_save.connect(approve, sender=Order)
    try:
        with capturing(Order, created="order.created", updated="order.updated"):
            Order.objects.create(number="A1")
    finally:
        post_save.disconnect(approve, sender=Order)

    assert sorted(routing_keys()) == ["order.created", "order.updated"]


def test_declaring_again_does_not_publish_twice():
    """However often a model is captured, one save is one save."""
    with capturing(Order, deleted="order.deleted"), capturing(Order, created="order.created"):
        Order.objects.create(number="A1")

    assert routing_keys() == ["order.created"]


@pytest.mark.django_db(transaction=True)
def test_asynchronous_saves_publish_too():
    """``asave()`` is ``save()`` in a thread."""
    with capturing(Order, created="order.created"):
        async_to_sync(Order(number="A1").asave)()

    assert routing_keys() == ["order.created"]
