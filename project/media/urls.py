"""Which address shows which page of the videos?"""

from __future__ import annotations

from django.urls import path, re_path

from . import files, views

urlpatterns = [
    path("", views.videos, name="videos"),
    path("fragment/", views.videos_fragment, name="videos-fragment"),
    path("upload/", views.upload, name="upload"),
    path("videos/<uuid:pk>/", views.video, name="video"),
    path("videos/<uuid:pk>/fragment/", views.video_fragment, name="video-fragment"),
    re_path(
        r"^media/(?P<name>(?:posters|renditions)/[0-9a-f-]+\.(?:jpg|mp4))$",
        files.media_file,
        name="media-file",
    ),
]
