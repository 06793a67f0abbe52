"""Does everything that a request publishes say who asked, and only that?"""

from __future__ import annotations

import asyncio
import uuid

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, RequestFactory
from django.test.utils import isolate_apps
from django.urls import path

from taskrouting import context, publish, subscribe
from taskrouting.middleware import ActorMiddleware
from tests.published import capturing, published
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


def order_view(request, secret=None):
    """Save something captured."""
    Order.objects.create(number="A1")
    return HttpResponse(b"placed")


def login_view(request):
    """Publish before and after logging ana in."""
    publish("before.login")
    login(request, get_user_model().objects.get(username="ana"))
    publish("after.login")
    return HttpResponse(b"welcome")


def streaming_view(request):
    """Publish while the response is being sent."""

    def pieces():
        for number in range(2):
            publish(f"piece.{number}")
            yield b"piece "

    return StreamingHttpResponse(pieces())


def failing_view(request):
    """Publish and fail."""
    publish("before.failure")
    raise RuntimeError("the view fails")


async def async_view(request):
    """Publish from a coroutine, by a thread."""
    await sync_to_async(publish)("async.view")
    return HttpResponse(b"done")


async def async_streaming_view(request):
    """Publish from an asynchronous stream."""

    async def pieces():
        for number in range(2):
            await sync_to_async(publish)(f"piece.{number}")
            yield b"piece "

    return StreamingHttpResponse(pieces())


urlpatterns = [
    path("order/", order_view),
    path("login/", login_view),
    path("orders/<slug:secret>/", order_view),
    path("streaming/", streaming_view),
    path("failing/", failing_view),
    path("async/", async_view),
    path("async-streaming/", async_streaming_view),
]


@pytest.fixture(autouse=True)
def views(settings):
    """Serve the views above, with the middleware outside of the login."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "taskrouting.middleware.ActorMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]


@pytest.fixture
def ana():
    """A user."""
    return get_user_model().objects.create_user("ana", password="secret")


def actors():
    """Who published the events that wait."""
    return [event.actor for event in published()]


def actor_of(**attributes):
    """Who acts in a request with these attributes."""
    request = RequestFactory().get("/")
    vars(request).update(attributes)
    answer = ActorMiddleware(lambda request: HttpResponse(context.current().actor or "nobody"))
    return answer(request).content.decode()


def test_the_logged_in_user_is_the_actor(client, ana):
    """An event says who asked for it, readable and exact."""
    client.force_login(ana)
    with capturing(Order, created="order.created"):
        client.get("/order/")

    assert actors() == [f"auth.user:{ana.pk} (ana)"]


def test_nobody_logged_in_is_no_actor(client):
    """An anonymous request acts for nobody."""
    with capturing(Order, created="order.created"):
        client.get("/order/")

    assert actors() == [None]


def test_whoever_logs_in_acts_from_then_on(client, ana):
    """The user is looked up at each publish, not when the request begins."""
    client.get("/login/")

    assert actors() == [None, f"auth.user:{ana.pk} (ana)"]


def test_a_users_name_may_be_longer_than_an_event_keeps():
    """The name is cut; no save fails for it."""
    actor = actor_of(user=get_user_model()(pk=7, username="a" * 500))

    assert actor.startswith("auth.user:7 (aaa")
    assert len(actor) == 255


@isolate_apps("tests.shop")
def test_a_project_may_have_users_of_its_own():
    """The actor is named by the model's own label and by what it calls a user name."""

    class Member(AbstractBaseUser):
        email = models.EmailField()
        USERNAME_FIELD = "email"

        class Meta:
            app_label = "shop"

    ana = Member(pk=7, email="ana@example.com")
    assert actor_of(user=ana) == "shop.member:7 (ana@example.com)"


def test_a_request_without_users_is_served():
    """The middleware works where nobody installed authentication."""
    assert actor_of() == "nobody"


@pytest.mark.parametrize("given", ["r-1", "a b", "x" * 200])
def test_the_requests_id_is_kept(client, given):
    """The id that a proxy has given is the correlation id of what follows, and is answered."""
    with capturing(Order, created="order.created"):
        response = client.get("/order/", headers={"X-Request-ID": given})

    assert response.headers["X-Request-ID"] == given
    assert [event.correlation_id for event in published()] == [given]


@pytest.mark.parametrize("given", ["", "   ", "x" * 201, "caf\xe9", "a\x00b", "a\tb", None])
def test_an_id_that_is_none_is_replaced(client, given):
    """What is no short printable ASCII is not taken over; the request gets an id of ours."""
    headers = {} if given is None else {"X-Request-ID": given}
    response = client.get("/order/", headers=headers)

    assert uuid.UUID(response.headers["X-Request-ID"]).version == 4


def test_each_request_has_an_id_of_its_own(client):
    """Two requests are two conversations."""
    ids = {client.get("/order/").headers["X-Request-ID"] for _ in range(2)}
    assert len(ids) == 2


def test_events_say_which_request_published_them(client):
    """Method, route and id, but neither the query nor what stands in the path: it may be secret."""
    with capturing(Order, created="order.created"):
        client.post("/orders/geheim/?password=geheim", headers={"X-Request-ID": "r-1"})

    (event,) = published()
    assert event.extensions == {"request": "POST /orders/<slug:secret>/", "requestid": "r-1"}


def test_what_a_handler_publishes_came_from_no_request(client, run_subscribers, subscriptions):
    """Its cause leads to the request; the event itself was published by a worker."""
    seen = []

    @subscribe("#", queue="q", name="follower")
    def follow(event):
        if event.causation_id is None:
            seen.append(publish("followed"))

    with capturing(Order, created="order.created"):
        client.get("/order/")
    run_subscribers()

    (event,) = seen
    assert (event.extensions, bool(event.causation_id)) == ({}, True)


def test_a_publisher_may_say_otherwise():
    """Extensions that are given win over those of the request; outside of one there are none."""
    with context.acting(request="GET /", request_id="r-1"):
        event = publish("order.created", extensions={"request": "mine"})

    assert event.extensions == {"request": "mine", "requestid": "r-1"}
    assert publish("order.created").extensions == {}


def test_a_request_that_cannot_be_said_is_published_all_the_same():
    """A method that somebody has made up, or a request that no view was chosen for."""
    seen = []
    request = RequestFactory().generic("EV\x00IL", "/")
    ActorMiddleware(lambda request: seen.append(publish("a")) or HttpResponse())(request)

    assert seen[0].extensions["request"] == "EVIL"


def test_an_error_has_the_id_too(client):
    """Whoever reports a failure can name it."""
    client.raise_request_exception = False
    response = client.get("/failing/", headers={"X-Request-ID": "r-1"})

    assert (response.status_code, response.headers["X-Request-ID"]) == (500, "r-1")


@pytest.mark.parametrize("url", ["/order/", "/failing/", "/streaming/"])
def test_nothing_is_left_when_the_request_is_over(client, url):
    """The next request on this thread starts from nothing."""
    client.raise_request_exception = False
    response = client.get(url, headers={"X-Request-ID": "r-1"})
    assert context.current() == context.Context()

    b"".join(response)
    assert context.current() == context.Context()


def test_a_streamed_response_publishes_as_its_request(client, ana):
    """Each piece is made by whoever asked, and between the pieces nobody acts."""
    client.force_login(ana)
    response = client.get("/streaming/", headers={"X-Request-ID": "r-1"})

    between = []
    for _ in response.streaming_content:
        between.append(context.current())

    assert between == [context.Context(), context.Context()]
    assert [(event.routing_key, event.actor, event.correlation_id) for event in published()] == [
        ("piece.0", f"auth.user:{ana.pk} (ana)", "r-1"),
        ("piece.1", f"auth.user:{ana.pk} (ana)", "r-1"),
    ]


def test_a_stream_that_is_given_up_leaves_nothing():
    """A client that goes away in the middle takes its context along, and the stream is closed."""
    closed = []

    def pieces():
        try:
            while True:
                yield context.current().correlation_id.encode()
        finally:
            closed.append(context.current())

    answer = ActorMiddleware(lambda request: StreamingHttpResponse(pieces()))
    response = answer(RequestFactory().get("/", headers={"X-Request-ID": "r-1"}))
    assert next(iter(response.streaming_content)) == b"r-1"
    response.close()

    assert closed == [context.Context()]


def test_a_file_is_still_sent_by_the_server(tmp_path):
    """The server may send it without reading it through Python."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    response = ActorMiddleware(lambda request: FileResponse(file.open("rb")))(
        RequestFactory().get("/")
    )

    assert response.file_to_stream is not None
    response.file_to_stream.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/async/", "/async-streaming/"])
def test_asynchronous_requests_have_their_context_too(ana, url):
    """Coroutines, their threads and asynchronous streams publish as their request."""

    async def request():
        client = AsyncClient()
        await client.aforce_login(ana)
        response = await client.get(url, headers={"X-Request-ID": "r-1"})
        if response.streaming:
            assert [piece async for piece in response.streaming_content] == [b"piece "] * 2
        assert context.current() == context.Context()
        return response

    response = async_to_sync(request)()

    assert response.headers["X-Request-ID"] == "r-1"
    assert {(event.actor, event.correlation_id) for event in published()} == {
        (f"auth.user:{ana.pk} (ana)", "r-1")
    }


def test_requests_that_take_turns_keep_their_contexts_apart():
    """Two requests on one event loop never see each other."""

    async def both():
        arrived = [asyncio.Event(), asyncio.Event()]

        async def view(request):
            number = int(request.GET["number"])
            arrived[number].set()
            await arrived[1 - number].wait()
            return HttpResponse(context.current().correlation_id)

        answer = ActorMiddleware(view)
        requests = [
            RequestFactory().get("/", {"number": n}, headers={"X-Request-ID": f"r-{n}"})
            for n in range(2)
        ]
        return await asyncio.gather(*(answer(request) for request in requests))

    responses = asyncio.run(both())

    assert [response.content for response in responses] == [b"r-0", b"r-1"]
