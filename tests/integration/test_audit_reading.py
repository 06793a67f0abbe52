"""Is an event read back from the audit log what was published?"""

from __future__ import annotations

import pytest

from taskrouting import context, publish
from taskrouting.audit import reading
from taskrouting.models import AuditLog

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "data", [None, {"a": [1, None]}, b"\x00\xff", {"data_base64": "?"}, {"data_base64": 7}]
)
def test_an_event_comes_back_as_it_was(run_subscribers, data):
    """Every attribute, and data that is JSON, bytes, nothing, or only looks like our bytes."""
    with context.acting(actor="ana", correlation_id="c-1", traceparent="00-a-b-01"):
        event = publish("video.upload", data, subject="videos/1", extensions={"a": True})
    run_subscribers()

    assert reading.event_of(AuditLog.objects.get()) == event
