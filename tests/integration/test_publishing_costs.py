"""How many statements does a captured write cost, and one that is not?"""

from __future__ import annotations

import pytest

from tests.published import capturing, published
from tests.shop.models import Article, Coupon, Line, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def remote_broker(settings):
    """A broker somewhere else: every event is one row of the outbox, and costs no other query."""
    settings.TASKROUTING = {**settings.TASKROUTING, "BROKER_URL": "amqp://nowhere.invalid"}


def test_a_model_that_is_not_captured_is_left_alone(django_assert_num_queries):
    """A foreign model costs nothing."""
    order = Order.objects.create(number="A1")
    with capturing(Order, created="order.created"), django_assert_num_queries(1):
        Line.objects.create(order=order, sku="pen")

    assert published() == []


def test_nobody_who_hears_updates_no_select(django_assert_num_queries):
    """Old values are only read where an update can be published."""
    order = Order.objects.create(number="A1")
    with capturing(Order, created="order.created"), django_assert_num_queries(1):
        order.save()


@pytest.mark.usefixtures("remote_broker")
def test_an_update_costs_one_select(django_assert_num_queries):
    """However many listen: one SELECT, one UPDATE, and one INSERT for all their events."""
    order = Order.objects.create(number="A1")
    order.status = "paid"
    with (
        capturing(Order, updated="order.updated"),
        capturing(Order, updated="order.changed"),
        django_assert_num_queries(3),
    ):
        order.save()


@pytest.mark.parametrize("written", [["number"], ["password"]])
def test_fields_that_nobody_asked_for_cost_no_select(django_assert_num_queries, written):
    """With ``update_fields`` that no capture observes there is nothing to compare."""
    order = Order.objects.create(number="A1")
    with capturing(Order, updated="order", fields=["status"]), django_assert_num_queries(1):
        order.save(update_fields=written)


def test_a_key_of_ones_own_making_costs_no_select(django_assert_num_queries):
    """A new row with a default for its key is inserted without looking for an older one."""
    with capturing(Coupon, updated="coupon.updated"), django_assert_num_queries(1):
        Coupon().save()


@pytest.mark.usefixtures("remote_broker")
def test_bulk_create_takes_one_insert_for_all_events(django_assert_num_queries):
    """Fifty rows cost one statement, and so do their events."""
    rows = [Article(name=f"pen {number}") for number in range(50)]
    with capturing(Article, created="article.created"), django_assert_num_queries(2):
        Article.objects.bulk_create(rows)

    assert len(published()) == 50


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


def test_models_that_are_not_captured_keep_djangos_fast_delete(django_assert_num_queries):
    """Only models with a deleted event pay for it."""
    Coupon.objects.bulk_create([Coupon(), Coupon()])
    with (
        capturing(Coupon, created="coupon.created"),
        capturing(Order, deleted="order.deleted"),
        django_assert_num_queries(1),
    ):
        Coupon.objects.all().delete()
