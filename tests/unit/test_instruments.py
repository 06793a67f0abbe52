"""What is said of a fault that lasts? The reason at once, and then less and less often."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from taskrouting import signals


@pytest.fixture
def told(caplog):
    """Return what was said since it was last asked."""
    caplog.set_level(logging.WARNING, logger="taskrouting")

    def since():
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    return since


def notice(seconds, reason="no vhost", where="relay"):
    """Let one more attempt fail, so long after the first."""
    away = timedelta(seconds=seconds)
    signals.emit(
        signals.fault_noticed, None, where=where, error=OSError(reason), away=away, retry_in=away
    )


def recover(where="relay"):
    """Let an attempt succeed."""
    signals.emit(signals.fault_recovered, None, where=where, away=timedelta(seconds=1))


def test_a_fault_that_lasts_is_told_less_and_less_often(told):
    """Twelve hours of attempts, one every four seconds, are no more than a hundred lines."""
    for attempt in range(12 * 900):
        notice(4 * attempt)

    lines = told()
    recover()
    assert lines[0] == "relay: no vhost; trying again"
    assert lines[1] == "relay: no vhost; still trying after 4 s"
    assert 70 < len(lines) < 90


def test_a_fault_that_changes_is_told_at_once(told):
    """Who has mended one thing sees the next one."""
    notice(0)
    notice(100)
    told()
    notice(104)
    notice(108, reason="no password")

    assert told() == ["relay: no password; still trying after 108 s"]
    recover()


def test_a_fault_that_comes_back_is_told_at_once(told):
    """After a recovery it is a new one, for the loop that has recovered."""
    notice(0)
    notice(0, where="worker")
    notice(100)
    recover()
    told()
    notice(0)

    assert told() == ["relay: no vhost; trying again"]
    recover()
    recover("worker")
