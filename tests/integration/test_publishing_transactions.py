"""Do row and event commit together, whoever opened the transaction and on whatever database?"""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import transaction
from django.http import HttpResponse
from django.urls import path

from taskrouting import EventQuerySet, publish
from taskrouting.exceptions import ConfigurationError, InvalidEventData
from tests.published import capturing, published, routing_keys
from tests.shop.models import Article, Order

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def place_order(request):
    """A view that saves, and fails when it is asked to."""
    Order.objects.create(number="A1")
    if "fail" in request.GET:
        raise RuntimeError("the view fails after the save")
    return HttpResponse(b"placed")


urlpatterns = [path("orders/", place_order)]


@pytest.fixture
def two_outboxes(settings):
    """Both databases may publish."""
    settings.TASKROUTING = {**settings.TASKROUTING, "OUTBOX_DATABASES": ["default", "other"]}


def unpublishable(instance):
    """Data that no database and no JSON text can hold."""
    return {"value": object()}


def test_in_autocommit_mode_row_and_event_are_one_transaction():
    """A save on its own commits both."""
    with capturing(Order, created="order.created"):
        Order.objects.create(number="A1")

    assert Order.objects.count() == 1
    assert routing_keys() == ["order.created"]


def test_in_autocommit_mode_an_event_that_fails_takes_the_row_along():
    """There is no saved row whose event could not be published."""
    order = Order.objects.create(number="A1")
    with capturing(Order, unpublishable, created="created", updated="updated", deleted="deleted"):
        with pytest.raises(InvalidEventData):
            Order.objects.create(number="A2")
        with pytest.raises(InvalidEventData):
            Order(pk=order.pk, number="A3").save()
        with pytest.raises(InvalidEventData):
            order.delete()

    assert [order.number for order in Order.objects.all()] == ["A1"]


def test_in_autocommit_mode_bulk_writes_fail_with_their_events():
    """The same holds for whole querysets."""
    Article.objects.create(name="pen")
    with capturing(Article, unpublishable, created="created", updated="updated"):
        with pytest.raises(InvalidEventData):
            Article.objects.bulk_create([Article(name="ink")])
        with pytest.raises(InvalidEventData):
            Article.objects.update(stock=1)

    assert [(article.name, article.stock) for article in Article.objects.all()] == [("pen", 0)]


def test_a_failed_event_cannot_be_swallowed_inside_a_transaction():
    """Whoever catches the error and goes on still cannot commit the row without its event."""
    with (
        capturing(Order, unpublishable, created="order.created"),
        pytest.raises(transaction.TransactionManagementError),
        transaction.atomic(),
    ):
        with pytest.raises(InvalidEventData):
            Order.objects.create(number="A1")
        Order.objects.count()

    assert not Order.objects.exists()


def test_an_outer_transaction_that_rolls_back_takes_the_event_along():
    """The event belongs to the caller's transaction, not to one of its own."""
    with (
        capturing(Order, created="order.created"),
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        Order.objects.create(number="A1")
        raise RuntimeError("changed my mind")

    assert published() == []


@pytest.mark.parametrize("atomic_requests", [True, False])
def test_a_request_publishes_what_it_commits(client, settings, atomic_requests):
    """With ATOMIC_REQUESTS a failing view takes row and event back; without it both stay."""
    settings.ROOT_URLCONF = __name__
    settings.TASKROUTING = {**settings.TASKROUTING, "SOURCE": "tests"}
    client.raise_request_exception = False
    connection = transaction.get_connection()
    before = connection.settings_dict["ATOMIC_REQUESTS"]
    connection.settings_dict["ATOMIC_REQUESTS"] = atomic_requests
    try:
        with capturing(Order, created="order.created"):
            assert client.get("/orders/").status_code == 200
            assert client.get("/orders/?fail").status_code == 500
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = before

    assert Order.objects.count() == len(published()) == (1 if atomic_requests else 2)


@pytest.mark.usefixtures("two_outboxes")
def test_the_event_goes_to_the_database_of_the_write():
    """Each database has its own rows, transactions and events."""
    with capturing(Order, created="created", updated="updated", deleted="deleted"):
        order = Order.objects.using("other").create(number="A1")
        order.status = "paid"
        order.save()
        order.delete()
    with capturing(Article, created="article.created", updated="article.updated"):
        Article.objects.using("other").bulk_create([Article(name="pen")])
        Article.objects.using("other").update(stock=1)
        EventQuerySet(Article, using="other").filter(stock=1).update(stock=2)

    assert published("default") == []
    assert routing_keys("other") == [
        "created", "updated", "deleted", "article.created", "article.updated", "article.updated",
    ]  # fmt: skip


@pytest.mark.usefixtures("two_outboxes")
def test_what_rolls_back_on_one_database_stays_on_the_other():
    """Nothing pretends that two databases commit as one."""
    with (
        capturing(Order, created="order.created"),
        transaction.atomic(using="default"),
        pytest.raises(RuntimeError),
        transaction.atomic(using="other"),
    ):
        Order.objects.using("other").create(number="A1")
        Order.objects.create(number="A2")
        raise RuntimeError("changed my mind")

    assert len(published("default")) == Order.objects.count() == 1
    assert len(published("other")) == Order.objects.using("other").count() == 0


def test_a_database_without_an_outbox_refuses_the_write():
    """No row is saved whose event nobody would ever relay; the error names the setting."""
    with (
        capturing(Order, created="order.created"),
        pytest.raises(ConfigurationError, match="OUTBOX_DATABASES"),
    ):
        Order.objects.using("other").create(number="A1")

    assert not Order.objects.using("other").exists()


def test_a_database_without_an_outbox_takes_writes_that_publish_nothing():
    """Captured models may live there as long as no event is due."""
    order = Order.objects.using("other").create(number="A1")
    with capturing(Order, created="order.created", when=lambda order, changed: False):
        order.save()
        Order.objects.using("other").create(number="A2")

    assert Order.objects.using("other").count() == 2


def test_loaddata_publishes_nothing(tmp_path):
    """Fixtures hold what has happened before."""
    Order.objects.create(number="A1")
    fixture = tmp_path / "orders.json"
    call_command("dumpdata", "shop.order", output=str(fixture), verbosity=0)
    Order.objects.all().delete()
    with capturing(Order, created="order.created", updated="order.updated"):
        call_command("loaddata", str(fixture), verbosity=0)

    assert Order.objects.count() == 1
    assert published() == []


def test_publish_and_captures_share_one_transaction():
    """What a view publishes by hand stands and falls with what it saves."""
    with (
        capturing(Order, created="order.created"),
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        publish("order.requested")
        Order.objects.create(number="A1")
        raise RuntimeError("changed my mind")

    assert published() == []
