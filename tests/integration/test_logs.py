"""Does every line about an event say which one it is, in fields that a program can read?"""

from __future__ import annotations

import logging

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from taskrouting import Batch, Reject, Retry, log_fields, publish, subscribe
from taskrouting.instruments.logging import EventFilter
from taskrouting.middleware import ActorMiddleware

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

application = logging.getLogger("shop.mail")


@pytest.fixture
def lines(caplog):
    """Return the lines of all loggers so far, as a handler with the filter has them."""
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(added := EventFilter())
    yield lambda: list(caplog.records)
    caplog.handler.removeFilter(added)


def fields(record):
    """What a line says of its event, as far as it is known."""
    said = {name: getattr(record, name) for name in log_fields.FIELDS}
    return {name: value for name, value in said.items() if value is not None}


def of(event, **more):
    """What the lines about an event must say."""
    return {
        "event_id": event.id,
        "event_source": "tests",
        "routing_key": "video.upload",
        "correlation_id": event.correlation_id,
        **more,
    }


def test_the_lines_of_a_delivery_name_it(lines, run_subscribers):
    """Ours and the handler's own, in each attempt."""

    @subscribe("video.#", queue="q", name="mailer", retry=Retry(max_attempts=2, base=0.001))
    def send(event):
        application.info("connecting")
        raise OSError("no mail server")

    event = publish("video.upload")
    run_subscribers(wait_for_delays=True)

    own = [fields(line) for line in lines() if line.name == "shop.mail"]
    finished = [line for line in lines() if getattr(line, "outcome", "")]
    expected = [of(event, subscription="mailer", queue="q", attempt=number) for number in (1, 2)]
    assert own == expected
    assert [fields(line) for line in finished] == expected
    assert [line.outcome for line in finished] == ["retry", "dead"]
    assert all(isinstance(line.duration, float) for line in finished)


def test_a_dead_letter_is_named_by_its_fields(lines, run_subscribers):
    """Its event, key, queue and subscription, and why."""

    @subscribe("video.#", queue="q", name="mailer")
    def refuse(event):
        raise Reject("no address")

    event = publish("video.upload")
    run_subscribers()

    (line,) = [line for line in lines() if line.levelno == logging.ERROR]
    told = of(event, subscription="mailer", queue="q")
    del told["correlation_id"]  # the dead letter holds it in its body
    assert fields(line) == told
    assert line.reason == "rejected"


def test_a_batch_names_its_subscription(lines, run_subscribers):
    """Many events have no one id, but it is known for whom they are."""

    @subscribe("video.#", queue="q", name="counter", batch=Batch(size=10))
    def count(events):
        application.info("counting")

    publish("video.upload")
    run_subscribers()

    (line,) = [line for line in lines() if line.name == "shop.mail"]
    assert fields(line) == {"subscription": "counter", "queue": "q"}


def test_a_line_in_a_request_has_its_id(lines):
    """Nobody is looked up for it, and a line without a request or event has empty fields."""

    def nobody():
        raise AssertionError("A log line must not ask who acts.")

    def view(request):
        application.info("in a request")
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Request-ID": "r-1"})
    request.user = SimpleLazyObject(nobody)
    ActorMiddleware(view)(request)
    application.info("outside")

    inside, outside = [line for line in lines() if line.name == "shop.mail"]
    assert fields(inside) == {"correlation_id": "r-1"}
    assert fields(outside) == {}


def test_the_filter_leaves_what_a_line_says_itself(lines):
    """A line that names its own event keeps that."""
    application.info("mine", extra={"event_id": "other"})

    assert fields(lines()[-1]) == {"event_id": "other"}
