"""What happens when the site's events arrive?

Every subscription here reads ``video_queue``, which ``remember`` binds to ``video.#``. An event
runs those whose pattern matches it: ``video.upload`` runs ``remember`` and ``transcode``,
``video.ready`` runs ``remember`` alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from taskrouting import Discard, Event, Reject, Retry, publish, signals, subscribe

from . import transcoding
from .events import video_data
from .models import Note, Video
from .probing import NotAVideo

SENTENCES = {
    "video.upload": "{file} was uploaded.",
    "video.ready": "Ready to watch: {duration:.1f} seconds, {width} × {height}, {codec}.",
    "video.failed": "It cannot be shown. {reason}",
}


@subscribe("video.#", queue="video_queue", name="remember")
def remember(event: Event) -> None:
    """Write down what happened, for the video's page.

    The note and the record that this event was handled commit together, so there is one note
    however often the event arrives.
    """
    sentence = SENTENCES.get(event.type, event.type)
    Note.objects.create(
        video=_video(event), text=sentence.format_map(event.data), written_at=event.time
    )


@subscribe(
    "video.upload",
    queue="video_queue",
    name="transcode",
    effects="external",
    retry=Retry(max_attempts=5),
)
def transcode(event: Event) -> None:
    """Make the poster and the rendition, then tell that the video is ready.

    This takes seconds to minutes and writes files, which no transaction can take back: hence
    ``effects="external"``. After a crash it runs again and writes the same files again.
    """
    video = _video(event)
    if video.state == Video.State.READY:
        return
    video.start()
    try:
        facts = transcoding.transcode(
            Path(video.file.path),
            poster_to=settings.MEDIA_ROOT / video.poster_name,
            rendition_to=settings.MEDIA_ROOT / video.rendition_name,
        )
    except NotAVideo as error:
        _fail(video, str(error), event)
        raise Reject(str(error)) from error
    with transaction.atomic():
        video.finish(facts)
        _publish_once("video.ready", video, _facts(video), event)


@subscribe("video.deleted", queue="video_queue", name="clean_up", effects="external")
def clean_up(event: Event) -> None:
    """Delete the files of a video whose row is gone, which is certain once this event arrives."""
    video = Video(pk=UUID(event.data["video"]))
    for name in (video.poster_name, video.rendition_name):
        (settings.MEDIA_ROOT / name).unlink(missing_ok=True)
    folder = settings.MEDIA_ROOT / video.folder_name
    if folder.exists():
        shutil.rmtree(folder)


@receiver(signals.delivery_finished, dispatch_uid="media.give_up")
def give_up(event: Event, subscription: str, outcome: str, **kwargs: Any) -> None:
    """Say so on the page when the last attempt at a video has failed."""
    if subscription == "transcode" and outcome == "dead":
        for video in Video.objects.unfinished().filter(pk=event.data["video"]):
            reason = "Something went wrong here while we worked on it. It is not your file."
            _fail(video, reason, event)


def _fail(video: Video, reason: str, cause: Event) -> None:
    """Note that a video cannot be shown and tell it, both or neither."""
    with transaction.atomic():
        video.fail(reason)
        _publish_once("video.failed", video, {"reason": reason}, cause)


def _publish_once(routing_key: str, video: Video, facts: dict[str, Any], cause: Event) -> None:
    """Tell what came of ``cause``, under an id that is the same however often it is handled.

    We may die after this has committed and before our own outcome has. Then ``cause`` is handled
    again and this told again; under the same id, whoever hears it knows it for the same event.
    """
    publish(
        routing_key,
        video_data(video) | facts,
        subject=video.subject,
        event_id=cause.idempotency_key(routing_key),
    )


def _video(event: Event) -> Video:
    """The video that an event is about; there is nothing to do for one that was deleted."""
    try:
        key = UUID(event.data["video"])
    except (TypeError, KeyError, ValueError) as error:
        raise Reject("The event does not say which video it is about.") from error
    try:
        return Video.objects.get(pk=key)
    except Video.DoesNotExist as error:
        raise Discard(f"Video {key} is not here any more.") from error


def _facts(video: Video) -> dict[str, Any]:
    """What the probe found out, for those who hear that the video is ready."""
    return {
        "duration": video.duration.total_seconds() if video.duration else 0.0,
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "poster": video.poster.name,
        "rendition": video.rendition.name,
    }
