"""How does a page of ours that is no list and no row get the admin's frame?"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse


def framed(
    shown: admin.ModelAdmin[Any], request: HttpRequest, template: str, title: str, /, **told: Any
) -> TemplateResponse:
    """Render ``template``, which extends ``admin/taskrouting/page.html``, for a table's page."""
    frame = {
        **shown.admin_site.each_context(request),
        "opts": shown.opts,
        "media": shown.media,
        "title": title,
    }
    return TemplateResponse(request, f"admin/taskrouting/{template}", {**frame, **told})
