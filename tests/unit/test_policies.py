"""Do policies wait as long as they say, and refuse what makes no sense?"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouting.exceptions import ConfigurationError
from taskrouting.policies import Batch, Retry, as_duration

attempts = st.integers(min_value=1, max_value=10_000)
fractions = st.floats(min_value=0, max_value=1, exclude_max=True)


def longest(retry: Retry, attempt: int) -> timedelta:
    """The delay when chance is against us."""
    return retry.next_delay(attempt, random=lambda: 1.0)


def test_the_defaults_outlast_an_outage_of_an_hour():
    """A mail server that is away for ten minutes, or sixty, kills no delivery."""
    retry = Retry()

    waited = sum((retry.next_delay(n, random=lambda: 0.0) for n in range(1, 10)), timedelta())

    assert retry.max_attempts == 10
    assert waited > timedelta(minutes=20)


def test_the_wait_doubles_from_base_to_ceiling():
    """Each wait is twice the one before, until the ceiling."""
    retry = Retry(base=5, ceiling=60)

    waits = [longest(retry, attempt).total_seconds() for attempt in range(1, 8)]

    assert waits == [5, 10, 20, 40, 60, 60, 60]


@given(attempts, fractions)
def test_chance_takes_at_most_half_of_the_wait(attempt, fraction):
    """A thousand failures do not come back together, and none comes back at once."""
    retry = Retry(base=0.1, ceiling=timedelta(hours=1))

    delay = retry.next_delay(attempt, random=lambda: fraction)

    assert longest(retry, attempt) / 2 <= delay <= longest(retry, attempt) <= retry.ceiling


@given(st.timedeltas(min_value=timedelta(0)), st.timedeltas(min_value=timedelta(0)), attempts)
def test_no_attempt_and_no_length_overflows(one, other, attempt):
    """Whatever was configured, the ten thousandth attempt waits no longer than the ceiling."""
    retry = Retry(base=min(one, other), ceiling=max(one, other))

    assert retry.base * 0.5 <= retry.next_delay(attempt) <= retry.ceiling


@given(st.integers(min_value=2, max_value=200))
def test_waits_never_get_shorter(attempts):
    """A later attempt never waits less than an earlier one, chance aside."""
    waits = [longest(Retry(), attempt) for attempt in range(1, attempts + 1)]

    assert all(earlier <= later for earlier, later in pairwise(waits))


def test_a_base_of_zero_tries_again_at_once():
    """``Retry(base=0)`` is for tests and for handlers that want no wait."""
    assert Retry(base=0).next_delay(9) == timedelta(0)


def test_attempts_are_counted_from_one():
    """A delay after attempt 0 is a mistake of the caller, and said to be one."""
    with pytest.raises(ValueError, match="attempt is 0"):
        Retry().next_delay(0)


@pytest.mark.parametrize(("attempt", "allowed"), [(1, True), (2, True), (3, False), (4, False)])
def test_max_attempts_counts_the_first(attempt, allowed):
    """``max_attempts=3`` starts the handler three times in all."""
    assert Retry(max_attempts=3).allows(OSError(), attempt) is allowed


@pytest.mark.parametrize(
    ("error", "allowed"),
    [(OSError(), True), (TimeoutError(), True), (ConnectionError(), False), (KeyError(), False)],
)
def test_only_chosen_errors_are_tried_again(error, allowed):
    """``retry_on`` says which errors pass; ``reject_on`` wins where both name one."""
    retry = Retry(retry_on=OSError, reject_on=[ConnectionError])

    assert retry.allows(error, attempt=1) is allowed


def test_durations_are_kept_as_timedelta():
    """Seconds and ``timedelta`` mean the same, and policies made of either are equal."""
    assert Retry(base=1.5, ceiling=60) == Retry(
        base=timedelta(seconds=1.5), ceiling=timedelta(minutes=1)
    )
    assert Batch(wait=0.05).wait == timedelta(milliseconds=50)
    assert Batch() == Batch(size=500, wait=timedelta(milliseconds=50))


def test_policies_are_frozen_values():
    """A policy can be a default argument: nobody can change it, and equal ones hash alike."""
    with pytest.raises(AttributeError):
        Retry().max_attempts = 3
    with pytest.raises(AttributeError):
        Batch().size = 3
    assert len({Retry(), Retry(), Retry(max_attempts=1)}) == 2
    assert len({Batch(), Batch(), Batch(size=1)}) == 2


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Retry(max_attempts=0), r"max_attempts.* 0"),
        (lambda: Retry(max_attempts=True), r"max_attempts.* True"),
        (lambda: Retry(max_attempts=2.5), r"max_attempts.* 2\.5"),
        (lambda: Retry(base=-1), r"base.* -1"),
        (lambda: Retry(base="5"), r"base.* '5'"),
        (lambda: Retry(base=float("nan")), r"base.* nan"),
        (lambda: Retry(ceiling=float("inf")), r"ceiling.* inf"),
        (lambda: Retry(ceiling=True), r"ceiling.* True"),
        (lambda: Retry(ceiling=1e300), r"ceiling.* 1e\+300"),
        (lambda: Retry(base=7200), r"base=7200.*ceiling, 3600"),
        (lambda: Retry(retry_on=OSError()), r"retry_on.*OSError\(\)"),
        (lambda: Retry(reject_on=("OSError",)), r"reject_on.*'OSError'"),
        (lambda: Batch(size=0), r"size.* 0"),
        (lambda: Batch(size="9"), r"size.* '9'"),
        (lambda: Batch(wait=None), r"wait.* None"),
        (lambda: Batch(wait=timedelta(-1)), r"wait.*days=-1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(make, named):
    """The error names the argument and the value, where the subscription is declared."""
    with pytest.raises(ConfigurationError, match=named):
        make()


def test_as_duration_is_at_home_here_too():
    """Whoever reads policies finds the reader of durations beside them."""
    assert as_duration(2, "wait") == timedelta(seconds=2)
