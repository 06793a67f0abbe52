"""Are settings read as they are meant, and is every mistake named with its fix?"""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from pprint import pformat

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.views.debug import ExceptionReporter

from taskrouting import conf
from taskrouting.exceptions import ConfigurationError, NotAccepted, TaskroutingError
from taskrouting.transport import signing
from tests.integration.copies import arrival

#: Every key, away from its default, and what it is read as.
WRITTEN = {
    "BROKER_URL": "amqp://",
    "EXCHANGE": "media_exchange",
    "SOURCE": "media",
    "QUEUES": {"q": {"bindings": ["a.#"], "prefetch": 1, "type": "classic"}, "plain": {}},
    "AUDIT": {"queue": None, "bindings": ("a",), "exclude": {"b"}, "batch_size": 1},
    "THREADS": 1,
    "PREFETCH": 2,
    "GROUP_SIZE": 7,
    "GROUP_TIME": 0.2,
    "SHUTDOWN_GRACE": 0,
    "LEASE": timedelta(minutes=5),
    "MAX_CRASHES": 3,
    "DATABASE": "other",
    "OUTBOX_DATABASES": ["default", "other"],
    "OUTBOX_KEEP": "until_received",
    "UNROUTED": "ignore",
    "MAX_MESSAGE_BYTES": 4,
    "SENSITIVE": ["password", "iban"],
    "SIGNING_KEYS": ["k" * 32, b"l" * 32],
    "UNSIGNED": "accept",
    "ALERTS": {
        "outbox_age": 300,
        "failure_rate": 1,
        "dead_letters": 1,
        "silent_queue": {"q": 60},
        "cooldown": timedelta(hours=1),
        "to": ["ops@example.org"],
    },
    "TRACING": True,
    "TRANSPORT_OPTIONS": {"visibility_timeout": 9},
    "ACCEPT": ["json", "yaml"],
    "COMPRESSION": "gzip",
}
READ = conf.Settings(
    broker_url="amqp://",
    exchange="media_exchange",
    source="media",
    queues={
        "q": conf.QueueSettings(bindings=("a.#",), prefetch=1, type="classic"),
        "plain": conf.QueueSettings(),
    },
    audit=conf.AuditSettings(queue=None, bindings=("a",), exclude=("b",), batch_size=1),
    threads=1,
    prefetch=2,
    group_size=7,
    group_time=timedelta(seconds=0.2),
    shutdown_grace=timedelta(0),
    lease=timedelta(minutes=5),
    max_crashes=3,
    database="other",
    outbox_databases=("default", "other"),
    outbox_keep="until_received",
    unrouted="ignore",
    max_message_bytes=4,
    sensitive=("password", "iban"),
    signing_keys=(conf.Secret(b"k" * 32), conf.Secret(b"l" * 32)),
    unsigned="accept",
    alerts=conf.AlertSettings(
        outbox_age=timedelta(minutes=5),
        failure_rate=1.0,
        dead_letters=1,
        silent_queue={"q": timedelta(minutes=1)},
        cooldown=timedelta(hours=1),
        to=("ops@example.org",),
    ),
    tracing=True,
    transport_options={"visibility_timeout": 9},
    accept=("json", "yaml"),
    compression="gzip",
)


def test_nothing_has_to_be_configured(settings):
    """The defaults are an installation that works: the project's database is the broker."""
    del settings.TASKROUTING

    found = conf.current()

    assert found == conf.Settings(source="tests")
    assert (found.broker_url, found.exchange, found.database) == ("django://", "events", "default")
    assert (found.audit.queue, found.audit.bindings) == ("audit_queue", ("#",))


def test_every_key_can_be_set():
    """What a project writes in upper case is what the code reads in lower case."""
    assert conf.load(WRITTEN) == READ


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ([], "TASKROUTING is []; it must be a dict."),
        ({"BROKER_ULR": ""}, "has an unknown key 'BROKER_ULR'. Did you mean 'BROKER_URL'?"),
        ({"broker_url": ""}, "has an unknown key 'broker_url'. Did you mean 'BROKER_URL'?"),
        ({"zzz": 1}, "has an unknown key 'zzz'. Known keys: ACCEPT, ALERTS, AUDIT,"),
        ({7: 1}, "has an unknown key 7. Known keys:"),
        ({"BROKER_URL": ""}, "['BROKER_URL'] is ''; it must be a string that is not empty."),
        ({"BROKER_URL": None}, "['BROKER_URL'] is None; it must be a string that is not empty."),
        ({"EXCHANGE": 5}, "['EXCHANGE'] is 5; it must be a string that is not empty."),
        ({"THREADS": 0}, "['THREADS'] is 0; it must be a whole number >= 1."),
        ({"THREADS": "4"}, "['THREADS'] is '4'; it must be a whole number >= 1."),
        ({"THREADS": True}, "['THREADS'] is True; it must be a whole number >= 1."),
        ({"PREFETCH": 1.5}, "['PREFETCH'] is 1.5; it must be a whole number >= 1."),
        ({"MAX_CRASHES": -1}, "['MAX_CRASHES'] is -1; it must be a whole number >= 1."),
        ({"SHUTDOWN_GRACE": -1}, "['SHUTDOWN_GRACE'] is -1; a duration cannot be negative."),
        ({"LEASE": "60"}, "['LEASE'] is '60'; give seconds or a timedelta."),
        ({"LEASE": 0}, "['LEASE'] is 0; a claim has to hold for some time."),
        ({"OUTBOX_DATABASES": "default"}, "is 'default'; it must be a list of strings."),
        ({"OUTBOX_DATABASES": [1]}, "is 1; it must be a string that is not empty."),
        ({"OUTBOX_KEEP": "forever"}, "must be None or 'until_confirmed' or 'until_received'."),
        ({"UNROUTED": "drop"}, "['UNROUTED'] is 'drop'; it must be 'record' or 'ignore'."),
        ({"UNROUTED": None}, "['UNROUTED'] is None; it must be 'record' or 'ignore'."),
        ({"UNSIGNED": True}, "['UNSIGNED'] is True; it must be 'refuse' or 'accept'."),
        ({"TRANSPORT_OPTIONS": []}, "['TRANSPORT_OPTIONS'] is []; it must be a dict."),
        ({"COMPRESSION": ""}, "['COMPRESSION'] is ''; it must be a string that is not empty."),
        ({"QUEUES": ["q"]}, "['QUEUES'] is ['q']; it must be a dict of queue names."),
        ({"QUEUES": {"": {}}}, "A key of TASKROUTING['QUEUES'] is ''; it must be a string"),
        ({"QUEUES": {5: {}}}, "A key of TASKROUTING['QUEUES'] is 5; it must be a string"),
        ({"QUEUES": {"q": None}}, "TASKROUTING['QUEUES']['q'] is None; it must be a dict."),
        ({"QUEUES": {"q": {"binding": []}}}, "['q'] has an unknown key 'binding'. Did you mean"),
        ({"QUEUES": {"q": {"prefetch": 0}}}, "['q']['prefetch'] is 0; it must be a whole number"),
        ({"QUEUES": {"q": {"type": "stream"}}}, "is 'stream'; it must be 'quorum' or 'classic'."),
        ({"QUEUES": {"q": {"bindings": "a.#"}}}, "is 'a.#'; it must be a list of strings."),
        ({"AUDIT": {"Queue": "q"}}, "['AUDIT'] has an unknown key 'Queue'. Did you mean 'queue'?"),
        ({"AUDIT": {"batch_size": 0}}, "['batch_size'] is 0; it must be a whole number >= 1."),
        ({"AUDIT": None}, "TASKROUTING['AUDIT'] is None; it must be a dict."),
        ({"ALERTS": {"outbox_ages": 1}}, "unknown key 'outbox_ages'. Did you mean 'outbox_age'?"),
        ({"ALERTS": {"outbox_age": 0}}, "['outbox_age'] is 0; it must be above 0 seconds"),
        ({"ALERTS": {"failure_rate": 20}}, "is 20; it must be a share: above 0, at most 1."),
        ({"ALERTS": {"failure_rate": 0}}, "is 0; it must be a share: above 0, at most 1."),
        ({"ALERTS": {"dead_letters": 0}}, "['dead_letters'] is 0; it must be a whole number >= 1."),
        ({"ALERTS": {"dead_letters": 2.5}}, "is 2.5; it must be a whole number >= 1."),
        ({"ALERTS": {"silent_queue": 60}}, "is 60; it must be a dict of durations by queue."),
        ({"ALERTS": {"silent_queue": {"q": "1h"}}}, "['silent_queue']['q'] is '1h'; give seconds"),
        ({"ALERTS": {"silent_queue": {"q": 0.0}}}, "['q'] is 0.0; it must be above 0 seconds"),
        ({"ALERTS": {"cooldown": 0}}, "['cooldown'] is 0; it must be above 0 seconds, or the same"),
        ({"ALERTS": {"cooldown": 4e9}}, "is 4000000000.0; give at most 36500 days."),
        ({"ALERTS": {"to": "ops@example.org"}}, "give a dotted path to a function, or a list of"),
        ({"ALERTS": {"to": ["ops"]}}, "['to'] has 'ops', which is no mail address."),
        ({"ALERTS": {"dead_letters": 1}}, "TASKROUTING['ALERTS'] has nobody to tell. Add 'to'"),
        ({"TRACING": 1}, "TASKROUTING['TRACING'] is 1; it must be True or False."),
    ],
)
def test_a_mistake_is_named_with_its_place_and_value(user, message):
    """Whoever reads the message knows which key to change, and to what."""
    with pytest.raises(ConfigurationError, match=re.escape(message)) as raised:
        conf.load(user)

    assert str(raised.value).startswith(("TASKROUTING", "A key of TASKROUTING"))


def test_the_error_is_what_django_calls_it():
    """Whoever catches Django's ImproperlyConfigured, or all of ours, catches this."""
    assert issubclass(ConfigurationError, ImproperlyConfigured)
    assert issubclass(ConfigurationError, TaskroutingError)


@pytest.mark.parametrize(
    ("root_urlconf", "source"), [("shop.urls", "shop"), ("urls", "urls"), (None, "django")]
)
def test_the_source_is_the_project(settings, root_urlconf, source):
    """Events say which project they come from, and never which host."""
    settings.ROOT_URLCONF = root_urlconf

    for user in ({}, {"SOURCE": ""}):
        assert conf.load(user).source == source
    assert conf.load({"SOURCE": "https://shop.example"}).source == "https://shop.example"


def test_a_project_without_pages_has_a_source_too(settings):
    """A project that only works has no ROOT_URLCONF."""
    del settings.ROOT_URLCONF

    assert conf.load({}).source == "django"


def test_the_settings_are_read_once(settings):
    """Asking for a setting costs nothing."""
    assert conf.current() is conf.current()


def test_override_settings_tells_the_truth(settings):
    """A test that changes a setting changes what the code sees, and back."""
    before = conf.current()

    settings.TASKROUTING = {"THREADS": 9}
    assert conf.current().threads == 9

    settings.TASKROUTING = {"SOURCE": "tests"}
    assert conf.current() == before


def test_nobody_can_change_the_settings_in_force():
    """What was checked at the start stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        conf.current().threads = 9


def test_what_the_user_wrote_can_change_without_effect():
    """The user's own dict and lists are copied."""
    user = {"TRANSPORT_OPTIONS": {"a": 1}, "SENSITIVE": ["password"], "QUEUES": {"q": {}}}
    found = conf.load(user)

    user["TRANSPORT_OPTIONS"]["b"] = 2
    user["SENSITIVE"].append("iban")
    user["QUEUES"]["r"] = {}

    assert found.transport_options == {"a": 1}
    assert found.sensitive == ("password",)
    assert list(found.queues) == ["q"]


KEY = "correct horse battery staple, thrice"


def test_nothing_shows_a_key():
    """Not the settings, and not the key: printed, formatted, or among other things."""
    found = conf.load({"SIGNING_KEYS": [KEY]})
    key = found.signing_keys[0]

    for text in (repr(found), str(key), repr(key), f"{key} {[key]}", pformat(found)):
        assert "horse" not in text
    assert bytes(key) == KEY.encode()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (KEY, "TASKROUTING['SIGNING_KEYS'] is a str; it must be a list of keys."),
        (KEY.encode(), "TASKROUTING['SIGNING_KEYS'] is a bytes; it must be a list of keys."),
        ({KEY: 1}, "TASKROUTING['SIGNING_KEYS'] is a dict; it must be a list of keys."),
        ([KEY, [KEY]], "TASKROUTING['SIGNING_KEYS'][1] is a list; a key is text or bytes."),
        ([KEY, KEY[:31]], "TASKROUTING['SIGNING_KEYS'][1] has 31 bytes; a key needs 32."),
        ([KEY, ""], "TASKROUTING['SIGNING_KEYS'][1] has 0 bytes; a key needs 32."),
    ],
)
def test_a_bad_key_is_named_and_not_shown(settings, keys, message):
    """The message says which key and why; the error page that Django mails shows none either."""
    with pytest.raises(ConfigurationError, match=re.escape(message)) as raised:
        conf.load({"SIGNING_KEYS": keys})

    assert "horse" not in str(raised.value)
    settings.DEBUG = False
    report = ExceptionReporter(None, raised.type, raised.value, raised.tb.tb_next)
    assert "taskrouting/conf.py" in report.get_traceback_html()
    assert "horse" not in report.get_traceback_html() + report.get_traceback_text()


@pytest.mark.parametrize("debug", [True, False])
def test_the_error_page_of_what_is_refused_shows_no_key(settings, debug):
    """Not even the one that Django shows to developers, with every value of every frame."""
    settings.DEBUG = debug
    settings.TASKROUTING = {"SIGNING_KEYS": [KEY]}
    with pytest.raises(NotAccepted) as raised:
        signing.verify(arrival(b"{}", headers={"x-taskrouting-signature": "no"}))

    html = ExceptionReporter(None, raised.type, raised.value, raised.tb.tb_next)
    assert "settings" in html.get_traceback_html()
    assert "horse" not in html.get_traceback_html()
