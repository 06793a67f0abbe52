"""Who hears of a row that belongs to several models: proxies, parents, children?"""

from __future__ import annotations

import pytest
from django.test.utils import isolate_apps

from tests.published import capturing, published, routing_keys
from tests.shop.models import ExpressOrder, Gift, Order

pytestmark = pytest.mark.django_db


def test_a_proxys_save_is_its_models_save():
    """A capture of the model hears its proxies; a capture of the proxy hears only the proxy."""
    with capturing(Order, created="order"), capturing(ExpressOrder, created="express"):
        Order.objects.create(number="A1")
        assert routing_keys() == ["order"]

        express = ExpressOrder.objects.create(number="A2")

    assert routing_keys() == ["order", "order", "express"]
    assert [event.subject for event in published()[1:]] == [
        f"shop.order/{express.pk}",
        f"shop.expressorder/{express.pk}",
    ]


def test_a_childs_save_is_one_event_for_each_captured_model():
    """Parent and child by inheritance each hear once, each with its own fields."""
    with (
        capturing(Order, created="order.created", updated="order.updated"),
        capturing(Gift, created="gift.created", updated="gift.updated"),
    ):
        gift = Gift.objects.create(number="A1", wish="a pen")
        gift.wish = "two pens"
        gift.save()
        gift.status = "paid"
        gift.save()

    wished = {"wish": {"old": "a pen", "new": "two pens"}}
    paid = {"status": {"old": "new", "new": "paid"}}
    assert [(event.routing_key, event.data.get("changed")) for event in published()] == [
        ("order.created", None),
        ("gift.created", None),
        ("gift.updated", wished),
        ("order.updated", paid),
        ("gift.updated", paid),
    ]


def test_a_child_that_joins_a_parent_row_updates_the_parent():
    """The parent's row was there before: it is not created twice."""
    order = Order.objects.create(number="A1")
    with (
        capturing(Order, created="order.created", updated="order.updated"),
        capturing(Gift, created="gift.created"),
    ):
        Gift(order_ptr=order, number="A2", wish="a pen").save()

    assert routing_keys() == ["order.updated", "gift.created"]
    assert published()[0].data["changed"] == {"number": {"old": "A1", "new": "A2"}}


def test_a_deleted_child_is_one_event_for_each_captured_model():
    """The rows of child and parent both go, and each is told once."""
    gift = Gift.objects.create(number="A1", wish="a pen")
    with capturing(Order, deleted="order"), capturing(Gift, deleted="gift"):
        gift.delete()

    assert sorted(routing_keys()) == ["gift", "order"]


def test_a_parent_that_is_kept_is_not_deleted():
    """``keep_parents`` deletes the child's row only."""
    gift = Gift.objects.create(number="A1", wish="a pen")
    with capturing(Order, deleted="order"), capturing(Gift, deleted="gift"):
        gift.delete(keep_parents=True)

    assert routing_keys() == ["gift"]
    assert Order.objects.exists()


def test_a_row_deleted_by_a_proxy_is_deleted():
    """A capture of the model hears its proxies."""
    Order.objects.create(number="A1")
    with capturing(Order, deleted="order"), capturing(ExpressOrder, deleted="express"):
        ExpressOrder.objects.get().delete()

    assert sorted(routing_keys()) == ["express", "order"]


@isolate_apps("tests.shop")
def test_subclasses_are_heard_whatever_they_override():
    """A capture of the model hears its subclasses, also one with a ``save_base`` of its own."""

    class EarlyOrder(Order):
        class Meta:
            app_label = "shop"
            proxy = True

        def save_base(self, *args, **kwargs):
            self.status = "early"
            super().save_base(*args, **kwargs)

    with capturing(Order, created="order.{status}", deleted="order.deleted"):
        EarlyOrder.objects.create(number="A1").delete()

    assert routing_keys() == ["order.early", "order.deleted"]


@isolate_apps("tests.shop")
def test_a_proxy_written_later_is_heard_too():
    """Subclasses that Django loads after the capture was declared are watched as well."""
    with capturing(Order, created="order.created", deleted="order.deleted"):

        class LateOrder(Order):
            class Meta:
                app_label = "shop"
                proxy = True

        LateOrder.objects.create(number="A1").delete()

    assert routing_keys() == ["order.created", "order.deleted"]
