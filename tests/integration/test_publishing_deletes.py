"""Is every deleted row published once, and what is still there not at all?"""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from tests.published import capturing, published, routing_keys, somebody_waits_for_us
from tests.shop.models import Line, Order
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


def test_the_data_of_a_deleted_row_is_still_whole():
    """The function sees the key and the relations, which go with the row."""
    order = Order.objects.create(number="A1")
    key = order.pk
    Line.objects.create(order=order, sku="pen")

    def data(order):
        return {"id": order.pk, "lines": [line.sku for line in order.lines.all()]}

    with capturing(Order, data, deleted="order.{status}.deleted"):
        order.delete()

    [event] = published()
    assert event.routing_key == "order.new.deleted"
    assert event.data == {"id": key, "lines": ["pen"]}
    assert event.subject == f"shop.order/{key}"


def test_deleting_a_queryset_publishes_each_row():
    """Deletion in bulk is captured without an ``EventQuerySet``."""
    Order.objects.create(number="A1")
    Order.objects.create(number="A2")
    with capturing(Order, deleted="order.{number}"):
        Order.objects.all().delete()

    assert sorted(routing_keys()) == ["order.A1", "order.A2"]


def test_a_cascade_publishes_what_it_takes_along():
    """Rows that Django deletes for their foreign key are deleted rows too."""
    order = Order.objects.create(number="A1")
    Line.objects.create(order=order, sku="pen")
    with capturing(Line, deleted="line.{sku}"):
        order.delete()

    assert routing_keys() == ["line.pen"]


def test_a_row_that_is_gone_already_is_not_deleted_again():
    """Deleting a stale instance publishes nothing, for nothing happened."""
    order = Order.objects.create(number="A1")
    stale = Order.objects.get()
    with capturing(Order, deleted="order.deleted"):
        order.delete()
        stale.delete()

    assert routing_keys() == ["order.deleted"]


def test_when_may_keep_a_deletion_quiet():
    """``when`` is asked with an empty ``changed``."""
    order = Order.objects.create(number="A1")
    with capturing(Order, deleted="order.deleted", when=lambda order, changed: bool(changed)):
        order.delete()

    assert published() == []


def test_a_deletion_that_is_rolled_back_is_no_event():
    """The event is in the transaction of the deletion."""
    order = Order.objects.create(number="A1")
    with (
        capturing(Order, deleted="order.deleted"),
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        order.delete()
        raise RuntimeError("changed my mind")

    assert published() == []
    assert Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_that_delete_the_same_row_publish_one_deletion():
    """Whoever comes second finds the row gone, and says nothing."""
    order = Order.objects.create(number="A1")
    stale = Order.objects.get()
    waiting = threading.Event()

    def delete_too():
        waiting.set()
        try:
            stale.delete()
        finally:
            connection.close()

    second = threading.Thread(target=delete_too)
    with capturing(Order, deleted="order.deleted"):
        with transaction.atomic():
            order.delete()
            second.start()
            assert waiting.wait(10)
            if connection.vendor == "postgresql":
                wait_until(somebody_waits_for_us, message="the second deletion to wait")
        second.join(10)

    assert routing_keys() == ["order.deleted"]
