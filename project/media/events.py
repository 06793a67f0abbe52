"""Which events does the site publish by itself?

``video.upload`` when a video is saved for the first time, ``video.deleted`` when it is deleted,
and ``user.login`` when somebody logs in. ``video.ready`` and ``video.failed`` are published in
``subscribers.py``, by the handler that finds out.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver

from taskrouting import publish, publishes

from .models import Video


@publishes(Video, created="video.upload", deleted="video.deleted")
def video_data(video: Video) -> dict[str, Any]:
    """What the events of a video carry: enough to act on, and no more."""
    return {
        "video": str(video.pk),
        "title": video.title,
        "file": video.filename,
        "size": video.size,
        "owner": video.owner_id,
    }


@receiver(user_logged_in, dispatch_uid="media.user_login")
def publish_login(sender: type, user: AbstractBaseUser, **kwargs: Any) -> None:
    """Tell that somebody logged in; only the audit log wants to know."""
    subject = f"{user._meta.label_lower}/{user.pk}"
    publish("user.login", {"username": user.get_username()}, subject=subject)
