"""How does one leaf through a table that is too large to count? From row to row.

``?p=before-1042`` shows the rows with numbers below 1042, newest first: the database walks its
primary key and stops after one page, on the thousandth page as on the first. It is never asked how
many rows there are; one row more than fits says whether there is another page.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

_PLACE = re.compile(r"(before|after)-([0-9]{1,18})")


class KeysetChangeList(ChangeList):
    """A list page that begins at a row instead of at a page number, and counts nothing."""

    #: Where the neighbouring pages are; empty where there is none.
    newest: str
    newer: str
    older: str

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        """Narrow by filters and search, and leave the large columns in the database."""
        found = super().get_queryset(request, exclude_parameters)
        admin: Any = self.model_admin  # a RecordAdmin, which imports this module
        listed: QuerySet[Model, Model] = admin.listed(found)
        return listed

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Model, Model]) -> list[Any]:
        """Newest first, always: no other order has an index under every filter."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page and find out which neighbours it has."""
        place = _PLACE.fullmatch(request.GET.get(PAGE_VAR, ""))
        way, number = (place[1], int(place[2])) if place else ("", 0)
        rows, more = self._rows(way, number)
        if way == "after" and not more:  # back at the top: show it whole
            way, (rows, more) = "", self._rows("", 0)
        self._tell(rows)
        self.newest = self.get_query_string() if way else ""
        self.newer = self._link("after", rows[0]) if way and rows else ""
        self.older = self._link("before", rows[-1]) if rows and (more or way == "after") else ""

    def _rows(self, way: str, number: int) -> tuple[list[Model], bool]:
        """Return the rows of one page, newest first, and whether there are more that way."""
        found = self.queryset
        if way == "before":
            found = found.filter(pk__lt=number)
        elif way == "after":
            found = found.filter(pk__gt=number).order_by("pk")
        rows = list(found[: self.list_per_page + 1])
        page = rows[: self.list_per_page]
        return (page[::-1] if way == "after" else page), len(rows) > len(page)

    def _tell(self, rows: list[Model]) -> None:
        """Set what Django's templates ask of a change list; nothing here is a total."""
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator((), 1)

    def _link(self, way: str, row: Model) -> str:
        return self.get_query_string({PAGE_VAR: f"{way}-{row.pk}"})
