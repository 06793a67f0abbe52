"""Is a consumer that hears nothing found out, and one that has nothing to hear left alone?"""

from __future__ import annotations

import time

import pytest

from taskrouting.exceptions import BrokerUnavailable, ConsumerDeaf
from taskrouting.transport import watch
from taskrouting.transport.watch import Intake, Watch
from tests.conformance.installation import PATIENCE, Installation
from tests.conformance.places import CLASSIC, QUORUM, REDIS, SQLITE, SQS
from tests.waiting import wait_until

TELL = [QUORUM, CLASSIC, REDIS]

#: Seconds in which many looks are made.
WHILE = 2.0


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr(watch, "EVERY", 0.1)


def listening(queue: str, prefetch: int = 1) -> Intake:
    """What somebody has taken in who listens to ``queue`` and has heard nothing."""
    intake = Intake()
    intake.opened(queue, prefetch)
    return intake


class Busy(Intake):
    """What somebody has taken in who hears something between any two looks."""

    def listening(self) -> dict[str, int]:
        """Tell, and hear something before the next look."""
        told = super().listening()
        for queue in told:
            self.received(queue)
        return told


def accused(watching: Watch) -> bool:
    """Whether something is found within a while."""
    until = time.monotonic() + WHILE

    def found() -> bool:
        try:
            watching.ask()
        except BrokerUnavailable:
            return True
        return False

    wait_until(lambda: found() or time.monotonic() > until)
    return found()


@pytest.mark.parametrize("place", TELL, indirect=True)
def test_who_hears_nothing_of_what_is_ready_is_deaf(installation: Installation) -> None:
    """It is told so, with the queue; three times in vain, and it is to be replaced."""
    queue = installation.queue("video.#")
    installation.send("video.upload")
    watching = Watch(installation.broker)

    def told() -> bool:
        try:
            watching.ask()
        except BrokerUnavailable as error:
            return f"queue {queue!r} has 1 messages ready" in str(error)
        return False

    for _ in range(watch.ENOUGH):
        with watching.over(listening(queue), set()):
            wait_until(told, timeout=PATIENCE, message="to be told")
    with pytest.raises(ConsumerDeaf, match=queue), watching.over(listening(queue), set()):
        pass


@pytest.mark.parametrize("place", TELL, indirect=True)
def test_who_has_its_hands_full_is_not_deaf(installation: Installation) -> None:
    """Nor who has paused the queue, nor who hears something between two looks."""
    queue = installation.queue("video.#")
    for _ in range(3):
        installation.send("video.upload")
    watching = Watch(installation.broker)

    full = listening(queue)
    full.received(queue)
    with watching.over(full, set()):
        assert not accused(watching)
    with watching.over(listening(queue), {queue}):
        assert not accused(watching)
    busy = Busy()
    busy.opened(queue, prefetch=10**9)
    with watching.over(busy, set()):
        assert not accused(watching)
    assert busy.heard() == [queue], "nobody looked"


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_who_waits_for_its_turn_is_not_deaf(installation: Installation) -> None:
    """``x-single-active-consumer``: another one may be active."""
    queue = installation.queue("video.#", arguments={"x-single-active-consumer": True})
    installation.send("video.upload")
    watching = Watch(installation.broker)

    with watching.over(listening(queue), set()):
        assert not accused(watching)


@pytest.mark.parametrize("place", [SQLITE, SQS], indirect=True)
def test_where_the_backlog_is_not_told_nobody_is_accused(installation: Installation) -> None:
    """SQS counts roughly, and the table of ``django://`` is read by its consumers themselves."""
    queue = installation.queue("video.#")
    installation.send("video.upload")
    watching = Watch(installation.broker)

    assert not installation.broker.can.tells_backlog
    with watching.over(listening(queue), set()):
        assert not accused(watching)
