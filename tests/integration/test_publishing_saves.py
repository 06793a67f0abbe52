"""Does every save of a captured model publish what happened, and nothing else?"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.core import serializers
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.db.models.signals import post_save, pre_save

from taskrouting.exceptions import InvalidEventData, InvalidRoutingKey
from tests.published import capturing, published, routing_keys
from tests.shop.models import Article, Coupon, ExpressOrder, Gift, Line, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def remote_broker(settings):
    """A broker somewhere else: every event is one row of the outbox, and costs no other query."""
    settings.TASKROUTING = {**settings.TASKROUTING, "BROKER_URL": "amqp://nowhere.invalid"}


def test_a_created_row_is_published_with_its_key():
    """The data function of a created event knows the primary key."""
    with capturing(Order, lambda order: {"id": order.pk}, created="order.created"):
        order = Order.objects.create(number="A1")

    [event] = published()
    assert (event.routing_key, event.data) == ("order.created", {"id": order.pk})
    assert event.subject == f"shop.order/{order.pk}"


def test_an_update_says_what_changed_from_what_to_what():
    """``changed`` has the old and the new value of every field that differs, and no other."""
    order = Order.objects.create(number="A1", total=5)
    with capturing(Order, lambda order: {"number": order.number}, updated="order.updated"):
        order.status, order.total = "paid", Decimal("7.5")
        order.save()

    [event] = published()
    assert event.data == {
        "number": "A1",
        "changed": {
            "status": {"old": "new", "new": "paid"},
            "total": {"old": "5.00", "new": "7.50"},
        },
    }


def test_an_update_that_changes_nothing_is_no_event():
    """Saving what is there already publishes nothing, whatever type the same value has."""
    order = Order.objects.create(number="A1", total=5)
    with capturing(Order, updated="order.updated"):
        order.total = "5"
        order.save()

    assert published() == []


def test_old_values_are_the_databases_not_the_instances():
    """What changed is measured against the row, however old the instance is."""
    order = Order.objects.create(number="A1")
    Order.objects.filter(pk=order.pk).update(status="paid")
    with capturing(Order, updated="order.updated"):
        order.status = "sent"
        order.save()

    assert published()[0].data["changed"] == {"status": {"old": "paid", "new": "sent"}}


def test_only_the_fields_asked_for_make_an_update():
    """``fields`` limits both what is an update and what it says."""
    order = Order.objects.create(number="A1")
    with capturing(Order, updated="order.status", fields=["status"]):
        order.number = "A2"
        order.save()
        assert published() == []

        order.number, order.status = "A3", "paid"
        order.save()

    assert published()[0].data["changed"] == {"status": {"old": "new", "new": "paid"}}


def test_update_fields_limits_what_changed():
    """A field that was not written has not changed, whatever the instance holds."""
    order = Order.objects.create(number="A1")
    with capturing(Order, updated="order.updated"):
        order.number, order.status = "A2", "paid"
        order.save(update_fields=["status"])

    assert published()[0].data["changed"] == {"status": {"old": "new", "new": "paid"}}


def test_a_foreign_key_is_named_by_its_field_and_given_by_its_key():
    """``changed`` holds raw keys, by the field's name, also where its column's name is written."""
    customer = get_user_model().objects.create_user("ana")
    order = Order.objects.create(number="A1")
    with capturing(Order, updated="order.updated", fields=["customer_id"]):
        order.customer = customer
        order.save(update_fields=["customer_id"])

    assert published()[0].data["changed"] == {"customer": {"old": None, "new": customer.pk}}


def test_deferred_fields_are_neither_loaded_nor_changed(django_assert_num_queries):
    """An instance that was loaded in part stays so."""
    Order.objects.create(number="A1")
    order = Order.objects.only("status").get()
    with capturing(Order, updated="order.updated"):
        order.status = "paid"
        order.save()

    assert order.get_deferred_fields() == {"number", "total", "customer_id", "password"}
    assert published()[0].data["changed"] == {"status": {"old": "new", "new": "paid"}}


def test_a_sensitive_field_is_named_without_its_values():
    """What ``SENSITIVE`` names never enters an event, though its change is no secret."""
    order = Order.objects.create(number="A1", password="old secret")
    with capturing(Order, updated="order.updated"):
        order.password = "new secret"
        order.save()

    [event] = published()
    assert event.data["changed"] == {"password": {"old": None, "new": None, "hidden": True}}
    assert "secret" not in str(event)


def test_expressions_are_read_back():
    """``F()`` becomes the number that the database made of it, in the event and on the instance."""
    article = Article.objects.create(name="pen", stock=5)
    with capturing(Article, updated="article.updated", fields=["stock"]):
        article.stock = F("stock") - 2
        article.save()

    assert published()[0].data["changed"] == {"stock": {"old": 5, "new": 3}}
    assert article.stock == 3


def test_expressions_of_a_new_row_are_read_back():
    """The data function sees values, not expressions, also on an INSERT."""
    with capturing(Article, lambda article: article.name, created="article.created"):
        Article.objects.create(name=Lower(models.Value("PEN")))

    assert published()[0].data == "pen"


def test_generated_fields_change_with_what_they_come_from():
    """The database computes them whatever ``update_fields`` says, so an update reports them."""
    article = Article.objects.create(name="pen", price=2, stock=5)
    with capturing(Article, updated="article.updated"):
        article.stock = 6
        article.save(update_fields=["stock"])

    assert published()[0].data["changed"] == {
        "stock": {"old": 5, "new": 6},
        "value": {"old": "10.00", "new": "12.00"},
    }


def test_every_kind_of_value_is_written_as_django_serialises_it():
    """Dates, durations, UUIDs, files, bytes and JSON all have a text or a JSON value."""
    article = Article.objects.create(name="pen")
    article.released_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    article.released_on = date(2026, 1, 2)
    article.guarantee = timedelta(days=1)
    article.serial = UUID(int=7)
    article.photo = "photos/pen.jpg"
    article.checksum = b"\x00\x01"
    article.details = {"inks": ["blue"]}
    with capturing(Article, updated="article.updated"):
        article.save()

    changed = published()[0].data["changed"]
    assert {name: each["new"] for name, each in changed.items()} == {
        "released_at": "2026-01-02T03:04:05Z",
        "released_on": "2026-01-02",
        "guarantee": "P1DT00H00M00S",
        "serial": "00000000-0000-0000-0000-000000000007",
        "photo": "photos/pen.jpg",
        "checksum": "AAE=",
        "details": {"inks": ["blue"]},
    }


@pytest.mark.parametrize(
    ("field", "kept", "same"),
    [
        ("price", Decimal("1.50"), "1.5"),
        ("price", Decimal("1.50"), Decimal("1.504")),
        ("stock", 5, "5"),
        ("released_at", datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (
            "released_at",
            datetime(2026, 1, 2, tzinfo=UTC),
            datetime(2026, 1, 2, 2, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("released_on", date(2026, 1, 2), "2026-01-02"),
        ("serial", UUID(int=7), str(UUID(int=7))),
        ("photo", "pen.jpg", "pen.jpg"),
        ("photo", "", None),
        ("details", {"1": [1, 2], "2": {}}, {2: {}, 1: (1, 2)}),
    ],
)
def test_another_spelling_of_the_same_value_is_no_change(field, kept, same):
    """An instance may hold what the database would write the same; that is no update."""
    article = Article.objects.create(name="pen", **{field: kept})
    with capturing(Article, updated="article.updated", fields=[field]):
        setattr(article, field, same)
        article.save()

    assert published() == []


def test_json_that_python_calls_equal_is_still_a_change():
    """``[1]`` and ``[True]`` are the same to Python and two things in JSON."""
    article = Article.objects.create(name="pen", details=[1])
    with capturing(Article, updated="article.updated"):
        article.details = [True]
        article.save()

    assert published()[0].data["changed"] == {"details": {"old": [1], "new": [True]}}


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


@pytest.mark.parametrize("data", [None, ["A1"], {"changed": True}])
def test_an_updates_data_must_leave_room_for_what_changed(data):
    """``changed`` needs a dict without that key; anything else is an error that says so."""
    order = Order.objects.create(number="A1")
    with (
        capturing(Order, lambda order: data, updated="order.updated"),
        pytest.raises(InvalidEventData, match="return a dict without that key"),
        transaction.atomic(),
    ):
        order.status = "paid"
        order.save()

    assert Order.objects.get().status == "new"


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


def test_what_a_receiver_sets_before_the_save_counts():
    """New values are taken after ``pre_save``."""

    def shout(instance, **kwargs):
        instance.number = instance.number.upper()

    order = Order.objects.create(number="a1")
    pre_save.connect(shout, sender=Order)
    try:
        with capturing(Order, updated="order.updated"):
            order.save()
    finally:
        pre_save.disconnect(shout, sender=Order)

    assert published()[0].data["changed"] == {"number": {"old": "a1", "new": "A1"}}


def test_declaring_again_does_not_publish_twice():
    """However often a model is captured, one save is one save."""
    with capturing(Order, deleted="order.deleted"), capturing(Order, created="order.created"):
        Order.objects.create(number="A1")

    assert routing_keys() == ["order.created"]


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


def test_a_row_put_in_the_place_of_another_is_an_update():
    """An instance with a known key replaces the row that is there."""
    order = Order.objects.create(number="A1")
    with capturing(Order, created="order.created", updated="order.updated"):
        Order(pk=order.pk, number="A2").save()

    assert routing_keys() == ["order.updated"]
    assert published()[0].data["changed"] == {"number": {"old": "A1", "new": "A2"}}


async def _saved_later():
    order = Order(number="A1")
    await order.asave()


@pytest.mark.django_db(transaction=True)
def test_asynchronous_saves_publish_too():
    """``asave()`` is ``save()`` in a thread."""
    from asgiref.sync import async_to_sync

    with capturing(Order, created="order.created"):
        async_to_sync(_saved_later)()

    assert routing_keys() == ["order.created"]
