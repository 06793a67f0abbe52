"""Does an update say exactly which fields changed, from what to what?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Lower
from django.db.models.signals import pre_save
from django.test import override_settings

from taskrouting.exceptions import InvalidEventData
from tests.published import capturing, published, routing_keys
from tests.shop.models import Article, Order

pytestmark = pytest.mark.django_db


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


def test_a_naive_time_means_what_django_makes_of_it():
    """Django warns about it and takes it for local time; so does what changed."""
    article = Article.objects.create(name="pen", released_at=datetime(2026, 1, 2, tzinfo=UTC))
    with (
        capturing(Article, updated="article.updated"),
        override_settings(TIME_ZONE="Europe/Berlin"),
    ):
        article.released_at = datetime(2026, 1, 2, 1)  # 00:00 UTC
        with pytest.warns(RuntimeWarning, match="naive datetime"):
            article.save()

    assert published() == []


@override_settings(USE_TZ=False)
def test_without_time_zones_times_are_naive():
    """An installation without USE_TZ sees its own times, as it wrote them."""
    first, second = datetime(2026, 1, 2), datetime(2026, 1, 3)
    article = Article.objects.create(name="pen", released_at=first)
    with capturing(Article, updated="article.updated"):
        article.released_at = "2026-01-02 00:00"
        article.save()
        article.released_at = second
        article.save()

    assert [event.data["changed"] for event in published()] == [
        {"released_at": {"old": "2026-01-02T00:00:00", "new": "2026-01-03T00:00:00"}}
    ]


def test_json_that_python_calls_equal_is_still_a_change():
    """``[1]`` and ``[True]`` are the same to Python and two things in JSON."""
    article = Article.objects.create(name="pen", details=[1])
    with capturing(Article, updated="article.updated"):
        article.details = [True]
        article.save()

    assert published()[0].data["changed"] == {"details": {"old": [1], "new": [True]}}


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


def test_a_row_put_in_the_place_of_another_is_an_update():
    """An instance with a known key replaces the row that is there."""
    order = Order.objects.create(number="A1")
    with capturing(Order, created="order.created", updated="order.updated"):
        Order(pk=order.pk, number="A2").save()

    assert routing_keys() == ["order.updated"]
    assert published()[0].data["changed"] == {"number": {"old": "A1", "new": "A2"}}
