"""Does ``declare_topology`` see how a broker differs from the code, and mend what it may?"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from taskrouting import publish, subscribe
from taskrouting.models import AuditLog, Binding, Message
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import Registry
from taskrouting.transport import broker
from tests.integration.commands import refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def names(unique_name: str, subscriptions: Registry) -> dict[str, str]:
    """An exchange and two queues of this test alone: ``video`` is subscribed."""
    names = {each: f"{unique_name}.{each}" for each in ("exchange", "audit", "video")}
    subscribe("video.#", queue=names["video"], name="video")(print)
    return names


@pytest.fixture
def configure(settings: Any, names: dict[str, str]) -> Any:
    """Set the broker of the test."""

    def configure(url: str, **more: Any) -> None:
        settings.TASKROUTING = {
            "BROKER_URL": url,
            "EXCHANGE": names["exchange"],
            "AUDIT": {"queue": names["audit"]},
            **more,
        }

    return configure


@pytest.fixture(params=["django", "rabbitmq", "redis", "filesystem"])
def everywhere(request: pytest.FixtureRequest, configure: Any, tmp_path: Path) -> str:
    """Each broker that can be compared, in turn."""
    name: str = request.param
    if name == "filesystem":
        folders = ("data_folder_in", "data_folder_out", "control_folder")
        configure("filesystem://", TRANSPORT_OPTIONS=dict.fromkeys(folders, str(tmp_path)))
    else:
        configure("django://" if name == "django" else request.getfixturevalue(f"{name}_url"))
    return name


def reached(names: dict[str, str], routing_key: str) -> list[str]:
    """Which of our queues a message reaches: RabbitMQ is sent one, others have a table to read."""
    here = broker.current()
    if here.can.routes:
        return reached_on_rabbitmq(here.url, names, routing_key)
    with here.connect() as connection, connection.channel() as channel:
        table = channel.get_table(names["exchange"])
    bindings = [topology.Binding(pattern, queue) for pattern, _, queue in table]
    return sorted({each.queue for each in bindings if each.matches(routing_key)})


def reached_on_rabbitmq(url: str, names: dict[str, str], routing_key: str) -> list[str]:
    """Send a message, confirmed, and look where it is."""
    queues = [names["audit"], names["video"]]
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        for queue in queues:
            channel.queue_purge(queue)
        connection.Producer().publish(b"", exchange=names["exchange"], routing_key=routing_key)
        return sorted(queue for queue in queues if channel.basic_get(queue, no_ack=True))


def test_a_check_names_what_is_missing_and_makes_nothing(everywhere, names):
    """A deployment learns that nothing is declared yet, as often as it asks."""
    for _ in range(2):
        printed = refused("declare_topology", "--check")

        assert f"Missing: binding 'video.#' → '{names['video']}'" in printed
        assert f"Missing: binding '#' → '{names['audit']}'" in printed
        assert printed.endswith("The broker differs from the code.")


@pytest.mark.parametrize("broker_name", ["django", "rabbitmq"])
def test_a_check_names_missing_queues(broker_name, configure, names, request):
    """Where queues exist by themselves, they are asked for by themselves."""
    url = request.getfixturevalue("rabbitmq_url") if broker_name == "rabbitmq" else "django://"
    configure(url)

    printed = refused("declare_topology", "--check")

    assert f"Missing: queue '{names['video']}'" in printed
    assert (f"Missing: exchange '{names['exchange']}'" in printed) is (broker_name == "rabbitmq")


def test_what_is_declared_is_not_missing(everywhere, names):
    """Declaring makes it so; declaring again is harmless; the broker routes."""
    for _ in range(2):
        printed = run("declare_topology")
        assert f"Declared: exchange '{names['exchange']}' with '{names['audit']}', '" in printed

    assert "Compared: exchange" in run("declare_topology", "--check")
    assert reached(names, "video.upload") == [names["audit"], names["video"]]
    assert reached(names, "user.login") == [names["audit"]]


def test_what_the_code_no_longer_declares_is_found_and_removed(everywhere, names, subscriptions):
    """A binding that is left over goes with ``--prune``, and with nothing less."""
    run("declare_topology")
    subscriptions.remove("video")
    subscribe("video.ready", queue=names["video"], name="video")(print)
    left = f"binding 'video.#' → '{names['video']}'"

    assert f"Left over, --prune removes it: {left}" in refused("declare_topology", "--check")
    assert f"Left over, --prune removes it: {left}" in run("declare_topology")
    assert reached(names, "video.upload") == [names["audit"], names["video"]]

    assert f"Removed: {left}" in run("declare_topology", "--prune")
    assert reached(names, "video.upload") == [names["audit"]]
    assert reached(names, "video.ready") == [names["audit"], names["video"]]
    assert "Left over" not in run("declare_topology", "--check")
    assert "Removed" not in run("declare_topology", "--prune")


def test_a_retired_queue_gets_nothing_more(everywhere, names, subscriptions):
    """A queue without any subscription is unbound, and keeps what waits in it."""
    run("declare_topology")
    subscriptions.remove("video")

    assert f"binding 'video.#' → '{names['video']}'" in refused("declare_topology", "--check")
    run("declare_topology", "--prune")

    assert reached(names, "video.upload") == [names["audit"]]
    run("declare_topology", "--check")


def test_the_bindings_of_others_are_left_alone(redis_url, configure, names):
    """Another program binds its own queue to our exchange; that is its business."""
    configure(redis_url)
    run("declare_topology")
    with Connection(redis_url) as connection, connection.channel() as channel:
        channel.exchange_declare(names["exchange"], "topic")
        channel.queue_declare("others_queue")
        channel.queue_bind("others_queue", names["exchange"], "video.*")

    printed = run("declare_topology", "--check")

    assert "Not ours, left alone: binding 'video.*' → 'others_queue'" in printed
    run("declare_topology", "--prune")
    assert "others_queue" in reached(names, "video.upload")


def test_rabbitmq_says_what_it_cannot_tell(rabbitmq_url, configure, names):
    """Nobody believes that bindings were compared where they cannot be."""
    configure(rabbitmq_url)
    run("declare_topology")

    printed = run("declare_topology", "--check")

    assert "Whether the bindings are there cannot be asked over AMQP 0-9-1" in printed


def test_a_queue_deleted_by_hand_is_missed(rabbitmq_url, configure, names):
    """Somebody cleaned up too much; the next declare mends it."""
    configure(rabbitmq_url)
    run("declare_topology")
    with Connection(rabbitmq_url) as connection, connection.channel() as channel:
        channel.queue_delete(names["video"])

    assert f"Missing: queue '{names['video']}'" in refused("declare_topology", "--check")
    run("declare_topology")
    assert names["video"] in reached(names, "video.upload")


def test_a_retired_queue_may_be_gone_already(rabbitmq_url, configure, names, subscriptions):
    """Unbinding what is not there is no failure, and it is forgotten."""
    configure(rabbitmq_url)
    run("declare_topology")
    subscriptions.remove("video")
    with Connection(rabbitmq_url) as connection, connection.channel() as channel:
        channel.queue_delete(names["video"])

    run("declare_topology", "--prune")

    remembered = Binding.objects.filter(exchange=names["exchange"])
    assert [(row.broker, row.pattern, row.queue) for row in remembered] == [
        ("amqp", "#", names["audit"])
    ]


def test_a_queue_with_other_arguments_is_named(rabbitmq_url, configure, names):
    """The sentence names the queue, the argument and the way out; the check changes nothing."""
    configure(rabbitmq_url)
    run("declare_topology")
    configure(rabbitmq_url, QUEUES={names["video"]: {"type": "classic"}})

    for text in (refused("declare_topology", "--check"), refused("declare_topology")):
        assert f"Queue '{names['video']}' exists on 127.0.0.1 with other arguments" in text
        assert "inequivalent arg 'x-" in text
        assert f"['QUEUES']['{names['video']}'] back, or drain and delete the queue" in text

    configure(rabbitmq_url)
    run("declare_topology", "--check")


def test_an_exchange_of_another_kind_is_named(rabbitmq_url, configure, names):
    """Not the first queue but the exchange is called what is wrong."""
    configure(rabbitmq_url)
    with Connection(rabbitmq_url) as connection, connection.channel() as channel:
        channel.exchange_declare(names["exchange"], "fanout", durable=True, auto_delete=False)

    for text in (refused("declare_topology", "--check"), refused("declare_topology")):
        assert f"Exchange '{names['exchange']}' exists on 127.0.0.1 with other arguments" in text
        assert "Name another in TASKROUTING['EXCHANGE']" in text


def test_an_exchange_without_queues_is_declared_too(rabbitmq_url, configure, names):
    """What is published before anybody subscribes is returned as unroutable, not refused."""
    configure(rabbitmq_url, AUDIT={"queue": None})
    here, nothing = broker.current(), topology.Topology(exchange=names["exchange"], queues=())

    with here.connect() as connection:
        here.declare(connection, nothing)
        with connection.channel() as channel:
            channel.exchange_declare(names["exchange"], "topic", passive=True)


def test_each_broker_has_its_own_memory(configure, rabbitmq_url, names, subscriptions):
    """What was bound on RabbitMQ does not route on ``django://``, nor the other way round."""
    configure(rabbitmq_url)
    run("declare_topology")
    subscriptions.remove("video")

    configure("django://")
    run("declare_topology")
    assert "Left over" not in run("declare_topology", "--check")
    assert names["video"] not in run("explain_route", "video.upload")
    assert reached(names, "video.upload") == [names["audit"]]
    publish("video.upload")
    assert [message.queue for message in Message.objects.all()] == [names["audit"]]

    configure(rabbitmq_url)
    assert "Left over" in refused("declare_topology", "--check")


def test_a_transport_without_tables_says_so(configure):
    """``memory://`` has nothing that could be compared, and nothing that could be left over."""
    configure("memory://")
    run("declare_topology")

    printed = run("declare_topology", "--check")

    assert "memory:// keeps no bindings that another process could ask for" in printed
    assert not Binding.objects.exists()


def test_who_removed_bindings_is_in_the_audit_log(
    everywhere, names, subscriptions, run_subscribers
):
    """One event names the bindings and the actor; where nothing was left, nothing is told."""
    run("declare_topology", "--prune")
    subscriptions.remove("video")
    run("declare_topology", "--prune")
    run("declare_topology", "--prune")
    run_subscribers()

    record = AuditLog.objects.get()
    assert record.routing_key == "taskrouting.operator.unbound"
    assert record.actor == f"command:{getpass.getuser()}"
    assert record.data == {
        "exchange": names["exchange"],
        "bindings": [{"pattern": "video.#", "queue": names["video"]}],
    }


def test_check_and_prune_exclude_each_other(configure):
    """One promises to change nothing, the other changes something."""
    assert "choose one" in refused("declare_topology", "--check", "--prune")


def test_a_broker_that_is_away_is_named(configure):
    """The command ends soon, with one sentence."""
    configure("amqp://guest:secret@127.0.0.1:1//")

    printed = refused("declare_topology")

    assert "127.0.0.1:1" in printed
    assert "refused" in printed
    assert "secret" not in printed
