"""Do the commands that publish and explain do what they say, and refuse the rest?"""

from __future__ import annotations

import getpass
import json

import pytest

from taskrouting import subscribe
from taskrouting.management import operator
from taskrouting.models import Binding
from tests.integration.commands import refused, run
from tests.published import published

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


def test_an_event_published_by_hand_is_like_any_other():
    """The id is printed, and the event has its data, subject and who did it."""
    printed = run("publish_event", "video.upload", '{"id": 7}', "--subject", "videos/7")

    [event] = published()
    assert printed == f"{event.id}\n"
    assert (event.routing_key, event.data, event.subject) == ("video.upload", {"id": 7}, "videos/7")
    assert event.actor == f"command:{getpass.getuser()}"


def test_an_event_needs_no_data():
    """The routing key alone is an event."""
    run("publish_event", "video.upload")

    assert [event.data for event in published()] == [None]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a", '{"id": 7'], "The data is not JSON: Expecting ',' delimiter: line 1 column 9"),
        (["a", "{id: 7}"], "line 1 column 2 (char 1). Did the shell take its quotes away?"),
        (["a", "NaN"], "The data"),
        (["a", "[" * 200 + "]" * 200], ": nested too deeply."),
        (["a", '"\\u0000"'], "NUL"),
        (["a", '{"a": 1, "a": 2}'], "The data"),
        ([""], "The routing key '' is empty"),
        (["a" * 256], "256 bytes long in UTF-8"),
        (["a", "1", "--subject", "s" * 256], "256 characters long"),
    ],
)
def test_what_cannot_be_published_is_refused(arguments, reason):
    """The message says what is wrong and where, and nothing is written."""
    assert reason in refused("publish_event", *arguments)
    assert published() == []


def test_a_user_without_a_name_is_a_number(monkeypatch):
    """In a container the user may be in no list."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", unknown)

    assert operator.name().startswith("command:uid-")


def two_subscribers() -> None:
    """Subscribe the reference topology's video handlers."""
    subscribe("video.#", queue="video_queue", name="remember")(print)
    subscribe("video.upload", queue="video_queue", name="transcode")(print)


def test_a_route_is_explained():
    """Which bindings match, which queues that is, and what runs there."""
    two_subscribers()

    assert run("explain_route", "video.upload").splitlines() == [
        "video.upload on exchange events",
        "  # → audit_queue",
        "      taskrouting.audit: taskrouting.audit.writer.record, in batches",
        "  video.# → video_queue",
        "      remember: builtins.print",
        "      transcode: builtins.print",
    ]
    assert "transcode" not in run("explain_route", "video.ready")
    assert "video_queue" not in run("explain_route", "user.login")


def test_a_route_nobody_wants_is_an_answer(settings):
    """It is said, and is no failure of the command."""
    settings.TASKROUTING = {"AUDIT": {"queue": None}}

    assert run("explain_route", "a.b").strip() == (
        "a.b on exchange events: nobody wants it, no binding matches."
    )
    assert json.loads(run("explain_route", "a.b", "--json"))["queues"] == []


def test_a_queue_without_a_taker_is_pointed_out(settings):
    """A binding of the settings alone leads into dead letters."""
    settings.TASKROUTING = {"QUEUES": {"lonely": {"bindings": ["a.#"]}}}

    assert (
        "a.# → lonely\n      no subscription of this queue wants it: it becomes a dead letter"
        in (run("explain_route", "a.b"))
    )


def test_a_binding_that_is_left_over_is_part_of_the_route(settings):
    """On ``django://`` a message goes where the table says, whatever the code says now."""
    Binding.objects.create(exchange="events", pattern="video.*", queue="old_queue")
    Binding.objects.create(exchange="others", pattern="video.*", queue="elsewhere")
    Binding.objects.create(broker="amqp", exchange="events", pattern="video.*", queue="remote")

    explained = run("explain_route", "video.upload")

    assert "video.* → old_queue (the code no longer declares this)" in explained
    assert "elsewhere" not in explained
    assert "remote" not in explained

    settings.TASKROUTING = {"BROKER_URL": "redis://"}
    assert "old_queue" not in run("explain_route", "video.upload")


def test_a_route_is_explained_to_programs():
    """``--json`` has all there is to know about whom the event reaches."""
    two_subscribers()

    route = json.loads(run("explain_route", "video.ready", "--json"))

    assert (route["routing_key"], route["exchange"]) == ("video.ready", "events")
    audit, video = route["queues"]
    assert audit["subscriptions"][0]["batch"] == {"size": 500, "wait": 0.05}
    assert (video["name"], video["patterns"], video["declared"]) == (
        "video_queue",
        ["video.#"],
        True,
    )
    assert video["subscriptions"] == [
        {
            "name": "remember",
            "patterns": ["video.#"],
            "queue": "video_queue",
            "handler": "builtins.print",
            "effects": "database",
            "retry": {
                "max_attempts": 10,
                "base": 5.0,
                "ceiling": 3600.0,
                "retry_on": ["Exception"],
                "reject_on": [],
            },
            "batch": None,
            "timeout": None,
        }
    ]


def test_no_route_is_explained_for_a_key_that_cannot_be_published():
    """A typing mistake is named."""
    assert "The routing key '' is empty" in refused("explain_route", "")


def test_a_pattern_in_the_place_of_a_routing_key_is_explained():
    """It is a key that may be published, and surely not what was meant."""
    sentence = "In a routing key '*' is a word like any other; name a key that is published."

    assert sentence in run("explain_route", "user.*")
    assert "a word like any other" not in run("explain_route", "user.login")
