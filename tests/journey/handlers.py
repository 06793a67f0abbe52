"""What happens to the events of the journey? Handled, retried once, or rejected.

::

    <prefix>_exchange ──video.#─────► <prefix>_video_queue ──► watch   (effects="database")
            │└───video.ready──────► <prefix>_mail_queue  ──► mail    (effects="external")
            └────#────────────────► <prefix>_audit_queue ──► AuditLog
"""

from __future__ import annotations

from typing import Any

from taskrouting import Reject, Retry, conf, subscribe
from taskrouting.events import Event
from taskrouting.models import Delivery

SOON = Retry(max_attempts=3, base=0.05, ceiling=0.1)


def subscribe_all(prefix: str) -> dict[str, Any]:
    """Subscribe the journey's handlers; return what settings its exchange and queues need."""
    subscribe("video.#", queue=f"{prefix}_video_queue", name="journey.watch", retry=SOON)(watch)
    subscribe("video.ready", queue=f"{prefix}_mail_queue", name="journey.mail", effects="external")(
        mail
    )
    return {"EXCHANGE": f"{prefix}_exchange", "AUDIT": {"queue": f"{prefix}_audit_queue"}}


def watch(event: Event) -> str:
    """Reject what is no video, and fail the first time where the event asks for it."""
    if event.type == "video.refused":
        raise Reject("that is no video")
    fail_first_attempt(event, "journey.watch")
    return event.id


def mail(event: Event) -> None:
    """Do something outside the database; it too may fail the first time."""
    fail_first_attempt(event, "journey.mail")


def fail_first_attempt(event: Event, name: str) -> None:
    """Raise if the event asks for it and the ledger counts no attempt yet.

    A run in a group is none: when that fails each runs by itself.
    """
    if event.data.get("fails_at_first") == name:
        row = Delivery.objects.using(conf.current().database)
        if not row.get(event_id=event.id, subscription=name).attempts:
            raise ValueError("not yet")
