"""Is a handler that ends just as its time is over told so, and nobody else disturbed?"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

from taskrouting.consuming import timeouts
from taskrouting.consuming.runs import Runs
from taskrouting.exceptions import HandlerTimeout
from taskrouting.routing.subscriptions import Subscription
from tests.processes import ROOT

#: Seconds; and how often the race is run: enough for the exception to be on its way a dozen times.
TIMEOUT, RACES = 0.001, 1000

#: Seconds within which a program that does next to nothing has surely ended.
PATIENCE = 60


def just_in_time(event: object) -> None:
    """Run for as long as the timeout, so that either may be first."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        pass


def test_the_exception_never_strikes_what_comes_after_the_handler() -> None:
    """A handler that races with its timeout has returned or timed out; nothing else is raised."""
    subscription = Subscription(
        name="race",
        patterns=("race.#",),
        queue="race",
        handler=just_in_time,
        timeout=timedelta(seconds=TIMEOUT),
    )
    runs, outcomes = Runs(), Counter[str]()

    for _ in range(RACES):
        try:
            with runs.entered() as run, timeouts.limit(subscription, run, None):
                timeouts.call(subscription, None, run)
            outcomes["returned"] += 1
        except HandlerTimeout:
            outcomes["timed out"] += 1

    assert outcomes.total() == RACES
    assert outcomes["returned"], "no race was close"


PROFILED = """
import cProfile, django
django.setup()
from taskrouting.consuming import timeouts
from taskrouting.consuming.runs import Runs
from taskrouting.routing.subscriptions import Subscription

idle = Subscription(name="a", patterns=("a",), queue="a", handler=lambda event: None)
profile = cProfile.Profile()
profile.enable()
for number in range(100):
    with Runs().entered() as run, timeouts.limit(idle, run, None):
        timeouts.call(idle, None, run)
profile.disable()
print("done")
"""


def test_handlers_end_under_a_profiler() -> None:
    """Nothing is left behind that keeps an interpreter with a profiler attached busy for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", PROFILED],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.stdout == "done\n", ended.stderr
