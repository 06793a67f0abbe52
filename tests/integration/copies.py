"""What does a copy of a message look like when it arrives, and where is it delivered?"""

from __future__ import annotations

from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.transport.messages import Arrival


def arrival(body: bytes = b"", **changes: object) -> Arrival:
    """A copy of a message as a broker would hand it over."""
    values: dict[str, object] = {
        "queue": "video_queue",
        "body": body,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {},
        "properties": {},
        "exchange": "events",
        "routing_key": "video.upload",
        "redelivered": False,
    }
    return Arrival(**{**values, **changes})  # type: ignore[arg-type]


def site() -> tuple[Site, list[Arrival]]:
    """A place to deliver at, and the copies acknowledged there."""
    acknowledged: list[Arrival] = []
    return Site(worker="here", acknowledge=acknowledged.append), acknowledged


def outcomes(runs) -> list[Outcome]:
    """The outcomes of some runs."""
    return [run.outcome for run in runs]
