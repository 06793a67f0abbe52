"""Can a stranger catch our exceptions, and never catches a verdict by mistake?"""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskrouting import exceptions
from taskrouting.exceptions import Discard, Reject, Snooze, TaskroutingError, Verdict


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (exceptions.ConfigurationError, ImproperlyConfigured),
        (exceptions.InvalidRoutingKey, ValueError),
        (exceptions.InvalidPattern, ValueError),
        (exceptions.InvalidEventData, ValueError),
        (exceptions.InvalidEnvelope, ValueError),
        (exceptions.NotAccepted, ValueError),
        (exceptions.BrokerUnavailable, ConnectionError),
    ],
)
def test_an_error_is_also_what_a_stranger_would_catch(ours, builtin):
    """Code that knows nothing of us can still catch what it expects."""
    assert issubclass(ours, TaskroutingError)
    assert issubclass(ours, builtin)


def test_the_docstring_draws_every_exception():
    """The tree at the top of the file is the file."""
    raised = [name for name, each in vars(exceptions).items() if isinstance(each, type)]
    ours = [name for name in raised if getattr(exceptions, name).__module__ == exceptions.__name__]

    assert [name for name in ours if name not in (exceptions.__doc__ or "")] == []


@pytest.mark.parametrize("verdict", [Snooze, Reject, Discard])
def test_a_verdict_is_no_error(verdict):
    """A handler's ``except TaskroutingError`` does not eat its own decision."""
    assert issubclass(verdict, Verdict)
    assert not issubclass(verdict, TaskroutingError)


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_snooze_takes_seconds_or_timedelta(delay):
    """However it is given, the delay of a snooze is a ``timedelta``."""
    assert Snooze(delay).delay == timedelta(seconds=90)


@pytest.mark.parametrize("delay", [-1, timedelta(-1), float("nan"), "soon", None])
def test_snooze_refuses_what_is_no_delay(delay):
    """A snooze that would never end, or lies in the past, is the handler's own failure."""
    with pytest.raises((ValueError, TypeError)):
        Snooze(delay)


@pytest.mark.parametrize("verdict", [Snooze(5, "busy"), Reject("broken"), Discard("nothing to do")])
def test_a_verdict_survives_pickling(verdict):
    """A verdict may be raised in a child process and reach its parent whole."""
    copy = pickle.loads(pickle.dumps(verdict))

    assert type(copy) is type(verdict)
    assert vars(copy) == vars(verdict)
    assert str(copy) == verdict.reason
