"""What does an operator of the site see of a video?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from .models import Note, Video

if TYPE_CHECKING:
    VideoModelAdmin = admin.ModelAdmin[Video]
    NoteTabularInline = admin.TabularInline[Note, Video]
else:
    VideoModelAdmin = admin.ModelAdmin
    NoteTabularInline = admin.TabularInline


class NoteInline(NoteTabularInline):
    """What the site told people about the video."""

    model = Note
    extra = 0
    can_delete = False
    readonly_fields = ("text", "written_at")


@admin.register(Video)
class VideoAdmin(VideoModelAdmin):
    """The videos; deleting one publishes ``video.deleted``, which deletes its files."""

    list_display = ("title", "state", "owner", "duration", "codec", "created_at")
    list_filter = ("state",)
    list_select_related = ("owner",)
    search_fields = ("title", "id")
    readonly_fields = (
        "id", "size", "state", "error", "poster", "rendition",
        "duration", "width", "height", "codec", "created_at",
    )  # fmt: skip
    inlines = (NoteInline,)
