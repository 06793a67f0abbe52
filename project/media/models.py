"""What does the site remember of a video, and what has it told people about it?"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.urls import reverse

if TYPE_CHECKING:
    from .probing import Facts


#: The fields of a video that a probe finds out.
_FACTS = ("duration", "codec", "width", "height")


def upload_to(video: Video, filename: str) -> str:
    """Keep the file's own name, in a folder where no other file is."""
    return f"{video.folder_name}/{Path(filename).name}"


class VideoQuerySet(models.QuerySet["Video"]):
    """The questions asked of videos."""

    def unfinished(self) -> VideoQuerySet:
        """Videos that are still to be worked on."""
        return self.filter(state__in=Video.UNFINISHED)


class Video(models.Model):
    """A video that somebody uploaded, and what became of it.

    The key is a UUID: events outlive rows and databases, and a number that is given out again
    would tie an old event to a new video.
    """

    class State(models.TextChoices):
        """How far a video has come."""

        UPLOADED = "uploaded", "Uploaded"
        PROCESSING = "processing", "Processing"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    UNFINISHED = (State.UPLOADED, State.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to=upload_to, max_length=255)
    size = models.PositiveBigIntegerField(editable=False, help_text="Of the file, in bytes.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="videos"
    )
    state = models.CharField(max_length=20, choices=State.choices, default=State.UPLOADED)
    error = models.TextField(blank=True, help_text="Why it failed, for the person who uploaded it.")
    poster = models.FileField(blank=True)
    rendition = models.FileField(blank=True)
    duration = models.DurationField(null=True, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    codec = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VideoQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=["-created_at"], name="media_video_newest"),)

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; the size of a new video is noted, since its file may be gone when it is asked."""
        if self._state.adding:
            self.size = self.file.size
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The page of this video."""
        return reverse("video", args=[self.pk])

    @property
    def subject(self) -> str:
        """What this video is called in events."""
        return f"{self._meta.label_lower}/{self.pk}"

    @property
    def filename(self) -> str:
        """The name of the uploaded file, as its owner knows it."""
        return Path(self.file.name or "").name

    @property
    def length(self) -> str:
        """How long the video is, as players write it: ``1:05``."""
        seconds = round(self.duration.total_seconds()) if self.duration else 0
        return f"{seconds // 60}:{seconds % 60:02}"

    @property
    def is_unfinished(self) -> bool:
        """Say whether there is still something to wait for."""
        return self.state in self.UNFINISHED

    def start(self) -> None:
        """Note that the work has begun."""
        self.state = self.State.PROCESSING
        self.error = ""
        self.save(update_fields=["state", "error"])

    def finish(self, facts: Facts) -> None:
        """Note that poster and rendition are there, and what the probe found out."""
        self.state = self.State.READY
        self.poster.name, self.rendition.name = self.poster_name, self.rendition_name
        self.duration, self.codec = facts.duration, facts.codec
        self.width, self.height = facts.picture.width, facts.picture.height
        self.save(update_fields=["state", "poster", "rendition", *_FACTS])

    def fail(self, reason: str) -> None:
        """Note that there will be nothing to watch, and why."""
        self.state = self.State.FAILED
        self.error = reason
        self.save(update_fields=["state", "error"])

    @property
    def folder_name(self) -> str:
        """Where the uploaded file is, and nothing else."""
        return f"uploads/{self.pk}"

    @property
    def poster_name(self) -> str:
        """Where the poster goes; always the same place, so doing it twice leaves one file."""
        return f"posters/{self.pk}.jpg"

    @property
    def rendition_name(self) -> str:
        """Where the rendition goes."""
        return f"renditions/{self.pk}.mp4"


class Note(models.Model):
    """A sentence on a video's page about something that happened to it."""

    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="notes")
    text = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        ordering = ("written_at", "pk")

    def __str__(self) -> str:
        return self.text
