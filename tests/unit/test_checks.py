"""Do the system checks see what is wrong, and keep quiet about what is right?"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django import conf as django_conf
from django.contrib.auth.models import User

from taskrouting import Batch, conf, publishes
from taskrouting.checks import alerts, databases
from taskrouting.publishing import declarations
from taskrouting.routing.subscriptions import Registry, registry, subscribe
from taskrouting.transport import messages
from tests.unit.checking import found, messages_found, said


@pytest.fixture
def subscriptions() -> Iterator[Registry]:
    """The registry; what a test subscribes is gone when it ends."""
    before = {each.name for each in registry}
    yield registry
    for each in registry:
        if each.name not in before:
            registry.remove(each.name)


@pytest.fixture
def configure() -> Iterator[Any]:
    """Set TASKROUTING to what cannot be read, as a settings file would: nobody is told."""
    with pytest.MonkeyPatch.context() as patch:

        def configure(value: Any) -> None:
            patch.setattr(django_conf.settings, "TASKROUTING", value)
            conf.current.cache_clear()

        yield configure
    conf.current.cache_clear()


def test_a_good_installation_hears_nothing():
    """Checks that cry wolf are switched off."""
    assert messages_found() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"BROKER_ULR": "x"}, "unknown key 'BROKER_ULR'. Did you mean 'BROKER_URL'?"),
        ({"LEASE": "long"}, "TASKROUTING['LEASE'] is 'long'; give seconds"),
        ({"AUDIT": {"bindings": [""]}}, "must be a string that is not empty"),
        ({"ALERTS": {"outbox_age": 0}}, "TASKROUTING['ALERTS']['outbox_age'] is 0; it must be"),
        (None, "TASKROUTING is None; it must be a dict"),
    ],
)
def test_settings_that_cannot_be_read_are_one_message(configure, value, text):
    """One mistake is said once, however many checks would need the settings."""
    configure(value)

    assert text in said()
    assert found() == ["E001"]
    assert databases.sqlite_is_in_wal(None, databases=["default"]) == []


@pytest.mark.parametrize(
    ("taskrouting", "id_", "text"),
    [
        ({"BROKER_URL": "ampq://u:secret@h"}, "E002", "transport 'ampq', and there is none. Did"),
        ({"BROKER_URL": "nonsense"}, "E002", "Examples: django://, amqp://, redis://"),
        ({"BROKER_URL": "amqp://h:port//"}, "E003", "cannot be read: Port could not be cast"),
        ({"BROKER_URL": "mongodb://h"}, "E003", "a package is missing: No module named 'pymongo'"),
        ({"COMPRESSION": "rar"}, "E004", "'rar', which is none that we read"),
        ({"ACCEPT": ["json", "protobuf"]}, "E005", "names 'protobuf', and Kombu has no"),
        ({"DATABASE": "nope"}, "E006", "'DATABASE'] names the database 'nope'; DATABASES has"),
        ({"OUTBOX_DATABASES": ["default", "gone"]}, "E006", "names the database 'gone'"),
        ({"SOURCE": "a" * 256}, "E016", "256 characters long"),
        ({"SOURCE": "😀" * 200}, "E016", "source: 800 bytes long in UTF-8, and AMQP takes"),
        ({"SOURCE": "a\x00"}, "E016", "cannot be the source of an event: "),
        ({"AUDIT": {"exclude": ["a" * 256]}}, "E011", "TASKROUTING['AUDIT']['exclude']: The pat"),
        ({"LEASE": 2, "DATABASE": "other"}, "W005", "'LEASE'] is 2 seconds; a worker that is"),
        ({"SIGNING_KEYS": ["k" * 40], "UNSIGNED": "accept"}, "W014", "'UNSIGNED'] is 'accept', so"),
        ({"ACCEPT": ["json", "yaml"]}, "W013", "names 'yaml', which is read hundreds of times"),
        ({"ACCEPT": ["json", "pickle"]}, "W006", "names 'pickle': whoever can write to a queue"),
        ({"AUDIT": {"exclude": ["vid*"]}}, "W007", "'vid*' holds the word 'vid*', in which"),
        ({"QUEUES": {"typo": {}}}, "W008", "has 'typo', and no subscription uses that queue"),
        ({"BROKER_URL": "memory://"}, "W009", "memory://, whose queues live and die with one"),
        ({"BROKER_URL": "django://reports"}, "W011", "Set 'DATABASE': 'reports', and"),
        (
            {"BROKER_URL": "amqp://h", "OUTBOX_KEEP": "until_received"},
            "E018",
            "'until_received', but amqp:// routes events itself",
        ),
        (
            {"BROKER_URL": "redis://h", "OUTBOX_KEEP": "until_confirmed"},
            "W010",
            "'until_confirmed', but redis:// confirms nothing",
        ),
    ],
)
def test_a_setting_that_would_fail_later_is_named_now(settings, taskrouting, id_, text):
    """Each mistake has an id, and its text names the setting and the fix."""
    settings.TASKROUTING = taskrouting

    ids = found()
    text_of = {each.id: f"{each.msg} | {each.hint}" for each in messages_found()}

    assert id_ in ids
    assert text in text_of[f"taskrouting.{id_}"]
    assert set(ids) <= {id_, "W004"}  # a short lease is short for SQLite's waits, too


def test_a_broker_url_keeps_its_password_to_itself(settings):
    """What a check prints ends up in logs."""
    settings.TASKROUTING = {"BROKER_URL": "ampq://u:secret@h"}

    assert "secret" not in said()


def test_a_message_says_what_to_install(settings, monkeypatch):
    """Somebody without redis-py reads which extra brings it."""
    monkeypatch.setattr("kombu.transport.redis.redis", None)
    settings.TASKROUTING = {"BROKER_URL": "redis://h"}

    assert "pip install 'django-taskrouting[redis]'" in said()


@pytest.mark.parametrize(
    "url",
    ["amqp://{}//", "redis://{}/0", "sqs://a:b@{}", "amqp://{0}//;amqp://{0}//x", "django://"],
)
def test_no_check_opens_a_socket(settings, url):
    """``check`` works where the broker does not, and bothers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.TASKROUTING = {"BROKER_URL": url.format(f"127.0.0.1:{server.getsockname()[1]}")}
        messages_found()

        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_batch_needs_a_queue_of_its_own(subscriptions):
    """A worker could not say whom it collects for."""
    subscribe("a.#", queue="shared", name="batched", batch=Batch())(lambda events: None)
    assert found() == []

    subscribe("a.#", queue="shared", name="single")(lambda event: None)

    assert "'batched' takes batches from queue 'shared', which it shares with 'single'" in said()
    assert found() == ["E012"]


def test_the_audit_queue_belongs_to_the_audit_log(subscriptions):
    """Its own subscription is a batch, like any user's."""
    subscribe("a.#", queue="audit_queue", name="intruder")(lambda event: None)

    assert "'taskrouting.audit' takes batches from queue 'audit_queue'" in said()


def test_a_wildcard_inside_a_word_is_pointed_out(subscriptions):
    """``vid*`` waits in vain for ``video``, and nothing else would ever say so."""
    subscribe("vid*.upload", "ok.*", queue="q", name="hopeful")(lambda event: None)

    assert "Subscription 'hopeful': the pattern 'vid*.upload' holds the word 'vid*'" in said()


@pytest.mark.parametrize("key", ["user.#", "user.*.{username}"])
def test_a_pattern_in_the_place_of_a_routing_key_is_told(key):
    """AMQP would take it, and nobody would receive what was meant."""

    @publishes(User, created=key)
    def user_data(user):
        return {}

    try:
        assert f"the routing key '{key}' holds the word '{key[5]}'" in said()
        assert "W015" in found()
    finally:
        declarations.registry.remove(user_data)


@pytest.mark.parametrize(
    ("broker", "name", "text"),
    [
        ("django://", messages.OUTBOX, "this name is taken by taskrouting itself"),
        ("amqp://", "events.dead", "this name is taken by taskrouting itself"),
        ("amqp://", "amq.mine", "RabbitMQ keeps names that begin with 'amq.' for itself"),
        ("sqs://", "q" * 81, "SQS takes 80 characters"),
        ("filesystem://", "a/b", "it becomes a file's name"),
        ("django://", "a\nb", "a name is printable text"),
        ("django://", "ä" * 128, "at most 255 bytes"),
    ],
)
def test_a_name_that_the_broker_cannot_have_is_refused(settings, broker, name, text):
    """A worker would fail to declare the queue, or mix it up with one of ours."""
    settings.TASKROUTING = {"BROKER_URL": broker, "QUEUES": {name: {"bindings": ["a"]}}}

    assert "E013" in found()
    assert any(text in message.msg for message in messages_found())


@pytest.mark.parametrize("name", ["amq.topic", "amq.mine", "e" * 251])
def test_an_exchange_that_rabbitmq_cannot_have_is_refused(settings, name):
    """``amq.topic`` is there already, but the exchange ``amq.topic.dead`` could not be."""
    settings.TASKROUTING = {"BROKER_URL": "amqp://", "EXCHANGE": name}

    assert found() == ["E013"]


def test_queues_that_become_one_on_sqs_are_refused(settings, subscriptions):
    """``a.b`` and ``a-b`` have one name there, so their messages would mix."""
    for queue in ("a.b", "a-b", "c"):
        subscribe("x", queue=queue, name=queue)(lambda event: None)
    assert found() == []

    settings.TASKROUTING = {"BROKER_URL": "sqs://"}

    assert "The queues 'a-b' and 'a.b' are both 'a-b' on SQS" in said()


@pytest.mark.parametrize(
    ("tuning", "text"),
    [
        ({"arguments": {"x-max-priority": 5}}, "'x-max-priority', which RabbitMQ refuses"),
        ({"type": "classic", "arguments": {"x-delivery-limit": 5}}, "refuses for a classic queue"),
        ({"arguments": {"x-queue-type": "classic"}}, "'x-queue-type' that is not its 'type'"),
        ({"type": "classic", "arguments": {"x-max-priority": 5}}, None),
        ({"arguments": {"x-queue-type": "quorum", "x-delivery-limit": 9}}, None),
    ],
)
def test_arguments_that_rabbitmq_refuses_are_named(settings, subscriptions, tuning, text):
    """It would answer 406 when the first worker starts."""
    subscribe("x", queue="tuned", name="n")(lambda event: None)
    settings.TASKROUTING = {"BROKER_URL": "amqp://", "QUEUES": {"tuned": tuning}}

    assert found() == (["E015"] if text else [])
    assert text is None or text in said()


def test_arguments_nobody_reads_are_pointed_out(settings, subscriptions):
    """A limit that is not one should not be believed in."""
    subscribe("x", queue="tuned", name="n")(lambda event: None)
    settings.TASKROUTING = {"QUEUES": {"tuned": {"arguments": {"x-max-length": 5}}}}

    assert "{'x-max-length': 5}, which django:// does not read" in said()
    assert found() == ["W012"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests.unit.checking.nobody", "which cannot be imported: Module"),
        ("nowhere.tell", "which cannot be imported: No module named 'nowhere'"),
        ("tests.unit.checking.__doc__", "which cannot be called"),
        ("tests.unit.checking.found", None),
    ],
)
def test_alerts_to_nobody_are_named(settings, path, text):
    """The first alert is no time to find that out."""
    settings.TASKROUTING = {"ALERTS": {"dead_letters": 1, "to": path}}

    assert found() == (["E025"] if text else [])
    assert text is None or f"is {path!r}, {text}" in said()


def test_a_silent_queue_that_is_not_there_is_pointed_out(settings):
    """It would be silent for ever."""
    silent = {"audit_queue": 60, "vidoe_queue": 60}
    settings.TASKROUTING = {"ALERTS": {"silent_queue": silent, "to": ["a@example.org"]}}

    assert found() == ["W025"]
    assert "names 'vidoe_queue', which nobody subscribes. | There are: audit_queue." in said()


def test_tracing_without_its_package_is_one_sentence(settings, monkeypatch):
    """With the command that installs it."""
    settings.TASKROUTING = {"TRACING": True}
    assert found() == []

    monkeypatch.setattr(alerts, "find_spec", lambda name: None)
    assert "pip install 'django-taskrouting[tracing]'" in said()
