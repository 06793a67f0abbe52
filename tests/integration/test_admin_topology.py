"""Does the page of the topology show what is routed where, how it is there and what differs?"""

from __future__ import annotations

import re
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu import Connection

from taskrouting import operators, publish, subscribe, wiring
from taskrouting.exceptions import ConfigurationError
from taskrouting.models import AuditLog, Binding, Figure, Message, Pause, Topology, WorkerProcess
from tests.integration import admin_site
from tests.integration.admin_site import page, told
from tests.integration.commands import refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("video")]

#: Seconds that a person waits for a page, on a busy machine, while the broker does not answer.
PATIENCE = 8.0


@pytest.fixture
def video(subscriptions):
    """A subscription on a queue of its own."""
    subscribe("video.#", queue="video_queue", name="transcode")(print)
    return subscriptions


@pytest.fixture
def ada(client):
    """Somebody who may view everything, and pause queues."""
    user = admin_site.staff("ada", *admin_site.views(), "pause_queue")
    client.force_login(user)
    return user


def shown(client: Any, **asked: str) -> str:
    """The page, with every run of white space as one space."""
    html = client.get(page(Topology), asked).content.decode()
    assert admin_site.Forbidden(html).found == []
    return " ".join(html.split())


def act(client: Any, action: str, queue: str, **more: str) -> Any:
    """Press a button of the page."""
    return client.post(page(Topology), {"action": action, "queue": queue, **more}, follow=True)


def station(name: str = "video_queue") -> wiring.Station:
    """What is known of a queue."""
    return {each.name: each for each in wiring.look().stations}[name]


def serve(*queues: str) -> None:
    """Have a worker process that is alive."""
    WorkerProcess.objects.create(
        name=f"w-{queues}", host="h", pid=7, version="1", queues=queues, threads=4
    )


def test_what_is_routed_where_is_drawn_and_told(client, ada):
    """Each column, with what waits, and links to it; the table says the same."""
    run("declare_topology")
    serve("video_queue")
    publish("video.upload")

    html = shown(client)

    diagram = html[html.index('<svg class="taskrouting') : html.index("Queues</h2>")]
    for words in ("events", "video.#", "video_queue", "1 waiting", "1 consumer", "✓ consumed",
                  "transcode", "audit_queue", "! no consumer"):  # fmt: skip
        assert words in diagram, words
    assert f'href="{page(Message)}?queue=video_queue"' in diagram
    assert re.search("<title[^>]*>Topology</title> <desc", diagram)
    table = html[html.index("Queues</h2>") :]
    for words in ("video_queue", "transcode", "consumed", "video.#"):
        assert words in table


def test_the_page_asks_the_database_a_few_times(client, ada, django_assert_max_num_queries):
    """However many queues there are, and with both questions asked."""
    for number in range(20):
        subscribe("video.#", queue=f"queue_{number}", name=f"transcode {number}")(print)
    run("declare_topology")
    admin_site.entry()

    with django_assert_max_num_queries(15):
        html = shown(client, key="video.upload", pattern="video.#")
    assert "queue_19" in html


def test_the_page_tells_how_much_each_queue_has_had_to_do(client, ada):
    """What was counted in the last hour, in the table and in the picture."""
    run("declare_topology")
    assert "in the last hour" not in shown(client)

    counted = {"span": 60, "queue": "video_queue", "subscription": "transcode"}
    lately, before = timezone.now(), timezone.now() - timedelta(hours=2)
    Figure.objects.create(**counted, since=lately, measure="handled", count=40)
    Figure.objects.create(**counted, since=lately, measure="retry", count=2)
    Figure.objects.create(**counted, since=lately, measure="snoozed", count=100)
    Figure.objects.create(**counted, since=before, measure="handled", count=1000)
    html = shown(client)
    assert "42 in the last hour" in html
    assert '<td class="taskrouting-number">42</td>' in html


def test_what_one_may_not_view_has_no_link(client):
    """The right to see the topology is not the right to see what waits."""
    client.force_login(admin_site.staff("alma", "view_binding"))

    html = shown(client)

    assert "video_queue" in html
    assert page(Message) not in html
    assert "Pause" not in html


def test_a_routing_key_shows_its_way(client, ada):
    """Every queue it reaches, the patterns that matched, what runs there; in the diagram too."""
    html = shown(client, key="video.upload")

    assert "Where video.upload goes" in html
    assert re.search("<th[^>]*>video_queue</th> <td><code>video.#</code></td> <td>transcode", html)
    assert html.count("taskrouting-node taskrouting-reached") == 7
    assert "➜ video_queue" in html
    assert "➜ transcode" not in shown(client, key="user.login")
    assert "The routing key" in shown(client, key="x" * 300)


def test_a_pattern_shows_what_it_would_have_caught(client, ada):
    """Only what matches, how many, and how many an hour."""
    for key in ("video.upload", "video.upload", "video.ready", "user.login"):
        admin_site.entry(event_id=f"{key}{AuditLog.objects.count()}", routing_key=key)

    html = shown(client, pattern="video.#")

    assert "About 3.0 events an hour" in html
    assert "?key=video.upload" in html
    assert "?key=user.login" not in html
    assert "Nothing since" in shown(client, pattern="invoice.#")
    assert "The pattern" in shown(client, pattern="x" * 300)


def test_what_differs_from_the_code_is_marked(client, ada, video):
    """Missing before it is declared; left over when the code has forgotten it."""
    html = shown(client)
    assert "✕ not on the broker" in html
    assert "Missing:" in html

    run("declare_topology")
    video.remove("transcode")
    html = shown(client)

    assert "◌ no longer declared" in html
    assert "binding <code>video.#</code> → video_queue" in html
    assert station().marks == (wiring.Mark.LEFT_OVER, wiring.Mark.UNSERVED)


def test_what_rabbitmq_has_otherwise_is_marked(client, ada, settings, empty_rabbitmq_url):
    """A queue with other arguments, and one that was deleted; depth and consumers are its own."""
    settings.TASKROUTING = {"BROKER_URL": empty_rabbitmq_url}
    run("declare_topology")
    with Connection(empty_rabbitmq_url) as connection, connection.channel() as channel:
        channel.queue_delete("audit_queue")
        connection.Producer().publish(b"", exchange="", routing_key="video_queue")
    queues = {"video_queue": {"type": "classic"}}
    settings.TASKROUTING = {"BROKER_URL": empty_rabbitmq_url, "QUEUES": queues}

    html = shown(client)

    found = station()
    assert found.marks == (wiring.Mark.DIFFERS, wiring.Mark.UNSERVED)
    assert (str(found.waiting), found.consumers, found.oldest) == ("1", 0, None)
    assert station("audit_queue").marks[0] == wiring.Mark.MISSING
    assert "≠ has other arguments" in html
    assert "drain and delete the queue" in html


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "is silent"])
def test_a_broker_that_is_away_keeps_nobody_waiting(client, ada, settings, scheme, silent):
    """What the code declares is there within seconds, and so is what could not be asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if silent else 1
        settings.TASKROUTING = {"BROKER_URL": f"{scheme}://127.0.0.1:{port}//"}
        began = time.monotonic()
        html = shown(client, key="video.upload")

    assert time.monotonic() - began < PATIENCE
    assert "The broker could not be asked: " in html
    assert "➜ transcode" in html
    assert "? waiting" in html


def test_a_queue_is_paused_and_resumed(client, ada, run_subscribers):
    """A button each; it is shown with its reason, and the audit log says who."""
    response = act(client, "pause", "video_queue", reason="the disk is full")

    assert "Queue video_queue is paused." in told(response)[0]
    html = shown(client)
    assert "‖ paused" in html
    assert f"by auth.user:{ada.pk} (ada): the disk is full" in html
    assert "PAUSED" in run("router_status")
    assert "already" in told(act(client, "pause", "video_queue"))[0]

    assert "is resumed" in told(act(client, "resume", "video_queue"))[0]
    assert not Pause.objects.exists()
    run_subscribers()
    entries = AuditLog.objects.filter(subject="taskrouting.queue/video_queue").order_by("pk")
    assert [(entry.routing_key, entry.actor) for entry in entries] == [
        (f"taskrouting.operator.{what}", f"auth.user:{ada.pk} (ada)")
        for what in ("paused", "resumed")
    ]
    assert entries[0].data == {"queue": "video_queue", "reason": "the disk is full"}


def test_without_its_permission_nobody_pauses(client):
    """Neither who may only look, nor who may pause and not look."""
    for name, given in (("vera", admin_site.views()), ("otto", ["pause_queue"])):
        client.force_login(admin_site.staff(name, *given))
        assert act(client, "pause", "video_queue").status_code == 403
    assert not Pause.objects.exists()


def test_a_queue_that_is_not_there_is_not_paused(client, ada):
    """Whoever mistypes learns it, and which queues there are."""
    with pytest.raises(ConfigurationError, match="video_queue"):
        operators.pause("vido_queue")
    assert (
        "No subscription uses a queue 'vido_queue'" in told(act(client, "pause", "vido_queue"))[0]
    )
    assert "there are: audit_queue, video_queue" in refused("pause_queue", "vido_queue")


def test_the_commands_pause_and_resume():
    """What they say is what they did, and saying it twice is no failure."""
    assert "is paused; workers" in run("pause_queue", "video_queue", "--reason", "full")
    assert "was paused already" in run("pause_queue", "video_queue")
    assert "is resumed; workers" in run("resume_queue", "video_queue")
    assert "was not paused" in run("resume_queue", "video_queue")


def test_a_pause_outlives_the_code_of_its_queue(client, ada, video):
    """Whoever comes later finds it on the page, and can end it."""
    operators.pause("video_queue")
    video.remove("transcode")

    assert "‖ paused" in shown(client)
    assert "is resumed" in told(act(client, "resume", "video_queue"))[0]
    assert not Binding.objects.exists()


def test_what_was_recorded_is_for_whoever_may_view_the_record(client):
    """A pattern is looked back for with the permission to view the audit log alone."""
    admin_site.entry(routing_key="video.secret")
    client.force_login(admin_site.staff("alma", "view_binding"))
    html = client.get(page(Topology), {"pattern": "#"}).content.decode()
    assert "video.secret" not in html
    assert "Look back" not in html


def test_while_the_broker_is_away_nobody_is_said_to_consume(client, ada, settings):
    """What cannot be asked is not known."""
    away = "amqp://guest:guest@127.0.0.1:1//"
    settings.TASKROUTING = {**settings.TASKROUTING, "BROKER_URL": away}
    queues = ["video_queue", "audit_queue"]
    WorkerProcess.objects.create(name="w", host="h", pid=7, version="1", queues=queues, threads=4)
    text = re.sub("<[^>]*>", "", shown(client))

    assert "? the broker does not answer" in text
    assert "✓ consumed" not in text
