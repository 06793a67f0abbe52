"""What does each page show?

The pages update themselves by asking for a fragment: the same template's moving part, alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from . import record
from .forms import UploadForm
from .models import Video

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    class SignedInRequest(HttpRequest):
        """A request behind ``login_required``."""

        user: User


PAGE_SIZE = 12


@never_cache
def videos(request: HttpRequest) -> HttpResponse:
    """Everybody's videos, the newest first."""
    page = _page(request)
    context = {"page": page, "is_waiting": _is_waiting(page), "fragment": _fragment_url(request)}
    return render(request, "media/videos.html", context)


@never_cache
def videos_fragment(request: HttpRequest) -> HttpResponse:
    """The moving part of the list."""
    page = _page(request)
    return render(request, "media/_videos.html", {"page": page, "is_waiting": _is_waiting(page)})


@never_cache
def video(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One video: to watch, and the story of its events."""
    context = _story(pk) | {"fragment": reverse("video-fragment", args=[pk])}
    return render(request, "media/video.html", context)


@never_cache
def video_fragment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The moving part of a video's page."""
    return render(request, "media/_video.html", _story(pk))


@login_required
def upload(request: SignedInRequest) -> HttpResponse:
    """Take a video; saving it publishes ``video.upload`` (see ``events.py``), and we are done."""
    new = Video(owner=request.user)
    form = UploadForm(request.POST or None, request.FILES or None, instance=new)
    if request.method == "POST" and form.is_valid():
        return redirect(form.save())
    return render(request, "media/upload.html", {"form": form})


def _page(request: HttpRequest) -> Page[Video]:
    found = Video.objects.select_related("owner")
    return Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))


def _is_waiting(page: Page[Video]) -> bool:
    """Say whether a video on this page is still being worked on."""
    return any(each.is_unfinished for each in page.object_list)


def _fragment_url(request: HttpRequest) -> str:
    """The address of this page's moving part."""
    query = request.GET.urlencode()
    return reverse("videos-fragment") + (f"?{query}" if query else "")


def _story(pk: UUID) -> dict[str, object]:
    """What a video's page shows of it."""
    found = get_object_or_404(Video.objects.select_related("owner"), pk=pk)
    return {
        "video": found,
        "is_waiting": found.is_unfinished,
        "notes": found.notes.all(),
        "entries": record.about(found.subject),
    }
