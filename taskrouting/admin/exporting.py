"""How does one take a copy of what a list shows? As CSV or JSON Lines, a few rows at a time.

The rows are fetched as one leafs: page after page, each with a query of its own. So memory stays
flat however many there are, and no transaction stays open while a slow reader takes them. What
arrives after the beginning is left out. Values are masked as on the pages, and bodies stay here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db import models
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext

from taskrouting import masking, operators

from . import actions
from .frames import framed
from .paging import KeysetChangeList
from .record import RecordAdmin
from .walking import Walk

#: Rows that are fetched, and sent, at once.
CHUNK = 200

#: The ways to write rows, and what each is called on the wire.
FORMS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}

#: A spreadsheet takes a cell that begins so for a formula, and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class ExportAdmin(RecordAdmin):
    """Rows that may be exported, by those who have a permission of its own."""

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the export."""
        view = self.admin_site.admin_view(self.export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", view, name=name), *super().get_urls()]

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Seeing a page at a time is not the right to take all of it along."""
        name = f"{self.opts.app_label}.export_{self.opts.model_name}"
        return self.has_view_permission(request) and request.user.has_perm(name)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer to export what is listed."""
        told = {"may_export": self.has_export_permission(request)}
        return super().changelist_view(request, {**told, **(extra_context or {})})

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show what would be exported; send it where a form was chosen."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        changes = self.changes(request)
        form = request.POST.get("form", "")
        if form not in FORMS or changes.trouble:
            return framed(
                self, request, "export.html", gettext("Export"),
                asked=changes.asked(), trouble=changes.trouble, query=request.GET.urlencode(),
                columns=[field.name for field in exported(self.model)],
            )  # fmt: skip
        return self._sent(request, changes, form)

    def _sent(
        self, request: HttpRequest, changes: KeysetChangeList, form: str
    ) -> StreamingHttpResponse:
        """Tell that somebody exports, and begin to send."""
        chosen = request.GET.urlencode()
        name = str(self.opts.model_name)
        operators.tell_of_export(name, chosen, form, actor=actions.actor_of(request))
        lines = written(chunks(changes.walk(request)), exported(self.model), form)
        content = _in_async(lines) if isinstance(request, ASGIRequest) else lines
        answer = StreamingHttpResponse(content, content_type=FORMS[form])
        at = timezone.now().strftime("%Y%m%d-%H%M%S")
        answer["Content-Disposition"] = f'attachment; filename="{name}-{at}.{form}"'
        answer["Cache-Control"] = "no-store"
        return answer


def exported(model: type[models.Model]) -> list[Any]:
    """Return the columns that are exported: not bodies, and not what only the machinery reads."""
    return [each for each in model._meta.concrete_fields if not _is_ours(each)]


def chunks(walk: Walk) -> Iterator[list[Any]]:
    """Yield all rows of a walk, newest first, and none that is newer than the first look."""
    table = walk.rows.model._default_manager.using(walk.rows.db)
    highest = table.aggregate(highest=Max("pk"))["highest"] or 0
    branches = tuple(each.filter(pk__lte=highest).defer(None) for each in walk.path.branches)
    whole = walk.rows.filter(pk__lte=highest).defer(None)
    walk = replace(walk, rows=whole, path=replace(walk.path, branches=branches))
    page = walk.page("", 0, CHUNK)
    yield page.rows
    while page.more:
        page = walk.page("before", (page.reached or page.rows[-1]).pk, CHUNK)
        yield page.rows


def written(found: Iterator[list[Any]], fields: list[Any], form: str) -> Iterator[str]:
    """Write rows as lines; each text is a chunk of them."""
    if form == "csv":
        yield _csv([[field.name for field in fields]])
    for rows in found:
        values = [[_plain(row, field) for field in fields] for row in rows]
        if form == "csv":
            yield _csv([[_cell(value) for value in each] for each in values])
        else:
            names = [field.name for field in fields]
            lines = (dict(zip(names, each, strict=True)) for each in values)
            yield "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def _plain(row: Any, field: Any) -> Any:
    """Return a value as JSON can hold it, without what is sensitive."""
    value = getattr(row, field.attname)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(field, models.JSONField):
        return masking.hidden(value)
    if isinstance(field, models.DateTimeField):
        return value.isoformat()
    text = str(value)
    return masking.hidden_in_text(text) if isinstance(field, models.TextField) else text


def _cell(value: Any) -> str:
    """Write a value into one cell, so that a spreadsheet shows it and does not run it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(value, int) else text


class _Lines(list[str]):
    """What ``csv`` writes to."""

    def write(self, text: str) -> None:
        self.append(text)


def _csv(rows: list[list[str]]) -> str:
    lines = _Lines()
    csv.writer(lines).writerows(rows)
    return "".join(lines)


def _is_ours(field: Any) -> bool:
    """Whether only the machinery reads it, or it is as large as the message itself."""
    return isinstance(field, models.BinaryField) or not field.editable


async def _in_async(lines: Iterator[str]) -> AsyncIterator[str]:
    """Write one chunk after another under ASGI as well, where Django would gather all of them."""
    following = sync_to_async(lambda: next(lines, None))
    while (chunk := await following()) is not None:
        yield chunk
