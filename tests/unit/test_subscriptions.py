"""Does ``@subscribe`` register what is right, and refuse the rest where it is written?"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from taskrouting import Batch, Retry
from taskrouting.exceptions import ConfigurationError, InvalidPattern
from taskrouting.routing import subscriptions
from taskrouting.routing.subscriptions import Registry, Subscription, subscribe


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry in which nobody has subscribed yet."""
    empty = Registry()
    monkeypatch.setattr(subscriptions, "registry", empty)
    yield empty


def handler(event):
    """A handler that a module could have."""


def other(event):
    """Another one."""


def test_a_subscription_is_named_after_its_handler(registry):
    """Without a name= the dotted path is the identity, and the queue is named after it."""
    assert subscribe("video.#")(handler) is handler

    assert list(registry) == [
        Subscription(
            name=f"{__name__}.handler",
            patterns=("video.#",),
            queue=f"{__name__}.handler",
            handler=handler,
        )
    ]


def test_a_subscription_keeps_what_it_is_told(registry):
    """Every argument of ``@subscribe`` arrives, durations as ``timedelta``."""
    retry, batch = Retry(max_attempts=3), Batch(size=9)
    subscribe("a", "b", "a", name="n", queue="q", retry=retry, batch=batch, timeout=1.5)(handler)

    assert registry.get("n") == Subscription(
        name="n",
        patterns=("a", "b"),
        queue="q",
        handler=handler,
        retry=retry,
        batch=batch,
        timeout=timedelta(seconds=1.5),
    )


def test_a_queue_knows_who_wants_what(registry):
    """What runs is decided by the queue a message came from and the subscription's patterns."""
    subscribe("video.#", "image.*", queue="media", name="all")(handler)
    subscribe("video.upload", queue="media", name="one")(handler)
    subscribe("video.upload", queue="elsewhere", name="far")(handler)

    assert [each.name for each in registry.on_queue("media")] == ["all", "one"]
    assert [each.name for each in registry.wanting("media", "video.upload")] == ["all", "one"]
    assert [each.name for each in registry.wanting("media", "image.new")] == ["all"]
    assert registry.wanting("media", "user.login") == []
    assert registry.wanting("nowhere", "video.upload") == []


def test_a_change_of_the_registry_shows(registry):
    """Whoever remembers what follows from the subscriptions sees that they changed."""
    versions = [registry.version]
    subscribe("a", name="n")(handler)
    versions.append(registry.version)
    registry.remove("n")
    registry.remove("n")
    versions.append(registry.version)

    assert versions == sorted(set(versions))
    assert len(registry) == 0
    assert registry.get("n") is None


def test_the_registry_may_change_while_it_is_read(registry):
    """A worker that looks through it while another thread subscribes does not fall over."""
    subscribe("a", name="n")(handler)

    for _ in registry:
        subscribe("b", name="another")(handler)

    assert len(registry) == 2


def test_two_handlers_cannot_have_one_name(registry):
    """Their deliveries would be taken for each other's; both places are named."""
    subscribe("a", name="same")(handler)

    with pytest.raises(ConfigurationError, match=r"'same': .*\.handler for 'a' and .*\.other for"):
        subscribe("b", name="same")(other)


def test_one_handler_cannot_be_subscribed_twice_under_one_name(registry):
    """Two decorators on one function are two subscriptions, and need two names."""
    subscribe("a", queue="one")(handler)

    with pytest.raises(ConfigurationError, match=r"for 'a' and .* for 'b'\. Give one .* name="):
        subscribe("b", queue="two")(handler)

    subscribe("b", queue="two", name="second")(handler)
    assert len(registry) == 2


def test_the_same_subscription_may_be_made_again(registry):
    """Importing a module under two paths, say, does no harm."""
    for _ in range(2):
        subscribe("a", name="n")(handler)

    assert len(registry) == 1


def test_functions_of_one_name_in_one_module_are_told_apart(registry):
    """A second ``def handle`` would take the first one's events away without a word."""
    source = "@subscribe('a')\ndef handle(event): ...\n\n@subscribe('b')\ndef handle(event): ...\n"

    with pytest.raises(ConfigurationError, match="Two subscriptions are named"):
        exec(source, {"__name__": "twice", "subscribe": subscribe})  # noqa: S102  # our own text


def test_a_module_that_is_loaded_again_replaces_its_subscriptions(registry, tmp_path, monkeypatch):
    """Reloading in a shell works, and the new function is the one that runs."""
    Path(tmp_path, "reloaded.py").write_text(
        "from taskrouting import subscribe\n\n@subscribe('a')\ndef handle(event): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "reloaded", raising=False)
    module = importlib.import_module("reloaded")
    first = module.handle

    importlib.reload(module)

    assert registry.get("reloaded.handle").handler is module.handle is not first


@pytest.mark.parametrize(
    "nameless",
    [lambda event: None, functools.partial(handler), functools.partial(print, "event")],
)
def test_a_handler_without_a_lasting_path_needs_a_name(registry, nameless):
    """The ledger would not know it again after the next start."""
    with pytest.raises(ConfigurationError, match="give @subscribe a name="):
        subscribe("a")(nameless)

    subscribe("a", name="n")(nameless)
    assert registry.get("n").handler is nameless


class Handlers:
    """Handlers come in many shapes."""

    def method(self, event):
        """Take the event after self."""

    def __call__(self, event, *, later=None):
        """Take the event, and more if somebody gives it."""

    @staticmethod
    async def asynchronous(event):
        """Wait for something."""


@pytest.mark.parametrize(
    "callable_",
    [Handlers().method, Handlers(), Handlers.asynchronous, lambda *args: None, print, dict],
)
def test_whatever_takes_an_event_is_a_handler(registry, callable_):
    """Methods, objects, coroutine functions and builtins run as well."""
    subscribe("a", name="n")(callable_)

    assert registry.get("n").handler is callable_


def no_argument():
    """Take nothing."""


def two_arguments(event, context):
    """Take too much."""


def generator(event):
    """Yield, which runs nothing when called."""
    yield event


async def async_generator(event):
    """Yield asynchronously."""
    yield event


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (no_argument, r"no_argument must take one argument, the event \(too many positional"),
        (two_arguments, r"must take one argument, the event \(missing a required .*'context'\)"),
        (generator, r"generator is a generator, and calling one runs nothing"),
        (async_generator, r"async_generator is a generator"),
    ],
)
def test_a_handler_that_could_not_run_is_refused(registry, wrong, reason):
    """The mistake shows when the code is imported, not at the first event."""
    with pytest.raises(ConfigurationError, match=reason):
        subscribe("a")(wrong)

    assert len(registry) == 0


def test_the_parentheses_must_not_be_forgotten():
    """``@subscribe`` alone would replace the handler and subscribe nobody."""
    with pytest.raises(ConfigurationError, match=r'\.handler has no pattern; write @subscribe\("'):
        subscribe(handler)


def test_a_subscription_needs_a_pattern(registry):
    """Without one it would wait for ever."""
    with pytest.raises(ConfigurationError, match=r'has no pattern; write @subscribe\("video.#"\)'):
        subscribe(name="n")(handler)


@pytest.mark.parametrize("pattern", ["", None, 7, "a" * 256, "a\x00"])
def test_a_pattern_that_matches_nothing_is_refused(registry, pattern):
    """It is refused where it is written."""
    with pytest.raises(InvalidPattern):
        subscribe("good", pattern)(handler)

    assert len(registry) == 0


@pytest.mark.parametrize("text", ["", "a\nb", "ä" * 128, 7, "\ud800"])
@pytest.mark.parametrize("what", ["name", "queue"])
def test_names_must_fit_broker_and_database(registry, what, text):
    """What AMQP or a column could not hold is refused, and the argument is named."""
    with pytest.raises(ConfigurationError, match=f"{what} is .*printable text of 1 to 255 bytes"):
        subscribe("a", **{"name": "n", what: text})(handler)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"effects": "mail"}, "effects is 'mail'; it must be 'database' or 'external'"),
        ({"effects": "external", "batch": Batch()}, "a batch needs effects='database'"),
        ({"timeout": -1}, "'n': timeout is -1; a duration cannot be negative"),
        ({"timeout": "1"}, "'n': timeout is '1'; give seconds or a timedelta"),
        ({"retry": 5}, "retry is 5; give a taskrouting.Retry"),
        ({"retry": 0}, "retry is 0; give a taskrouting.Retry"),
        ({"batch": 100}, "batch is 100; give a taskrouting.Batch"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(registry, arguments, reason):
    """The message names the subscription, the argument and the value."""
    with pytest.raises(ConfigurationError, match=reason):
        subscribe("a", name="n", **arguments)(handler)

    assert len(registry) == 0


@pytest.mark.parametrize("module", ["events", "subscribers"])
def test_subscribers_are_found_in_every_installed_app(
    registry, module, tmp_path, monkeypatch, settings
):
    """``events.py`` and ``subscribers.py`` need not be imported by hand."""
    app = tmp_path / f"app_with_{module}"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / f"{module}.py").write_text(
        "from taskrouting import subscribe\n\n@subscribe('a', name='found')\ndef f(event): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, app.name]

    subscriptions.autodiscover()

    assert registry.get("found").handler_path == f"{app.name}.{module}.f"
