"""How does one leaf through a table that is too large to count? From row to row.

``?p=before-1042`` shows the rows below the one with that number, newest first: the database walks
an index and stops after one page, on the thousandth page as on the first. It is never asked how
many rows there are; one row more than fits says whether there is another page.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from . import shown
from .limits import TooSlow, patience
from .searching import Mistake, Term
from .walking import Page, Walk

_PLACE = re.compile(r"(before|after)-([0-9]{1,18})")


def place_of(request: HttpRequest) -> tuple[str, int]:
    """Return on which way from which row the page lies; no way at all for the newest."""
    found = _PLACE.fullmatch(request.GET.get(PAGE_VAR, ""))
    return (found[1], int(found[2])) if found else ("", 0)


class KeysetChangeList(ChangeList):
    """A list page that begins at a row instead of at a page number, and counts nothing."""

    #: Where the neighbouring pages are; empty where there is none.
    newest: str
    newer: str
    older: str

    #: The neighbouring page on the way on which the walk has ended.
    further: str

    #: The row at which the walk ended before the page was full, and its time; None where it is.
    reached: Any = None
    reached_at: Any = ""

    #: What is wrong with what was asked, in a sentence.
    trouble = ""

    #: What was typed into the search box.
    terms: tuple[Term, ...] = ()

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Model, Model]:
        """Narrow by filters and search, and leave the large columns in the database."""
        admin: Any = self.model_admin  # a RecordAdmin, which imports this module
        try:
            found: Any = super().get_queryset(request, exclude_parameters)
            self.terms = admin.read(request, self.query)
        except Mistake as mistake:
            self.trouble = str(mistake)
            nothing: QuerySet[Model, Model] = admin.get_queryset(request).none()
            return nothing
        found = found.filter(*(term.condition for term in self.terms))
        listed: QuerySet[Model, Model] = admin.listed(found)
        return listed

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Model, Model]) -> list[Any]:
        """Newest first, always: no other order has an index under every filter."""
        return ["-pk"]

    def asked(self) -> list[Term]:
        """Return all that was asked for: by search, by filters, and by whoever wrote the address.

        Every filter of ours says what it asks for; Django's own would be conditions without a name.
        """
        specs: list[Any] = self.filter_specs
        filtered = [spec.term() for spec in specs]
        ours = {name for spec in specs for name in spec.expected_parameters()}
        others = [Term("other", name) for name in self.get_filters_params() if name not in ours]
        return [term for term in (*self.terms, *filtered, *others) if term is not None]

    def walk(self, request: HttpRequest) -> Walk:
        """Return the way to the rows that were asked for."""
        admin: Any = self.model_admin
        asked = self.asked()
        path = admin.path(request, asked)
        exact = {term.name for term in asked} <= path.knows
        return Walk(rows=self.queryset, path=path, exact=exact)

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page and find out which neighbours it has."""
        way, number = place_of(request)
        page = self._page(request, way, number)
        if way == "after" and not page.more:  # back at the top: show it whole
            way, page = "", self._page(request, "", 0)
        self._tell(page.rows)
        first, last = self._ends(page, way)
        self.newest = self.get_query_string() if way else ""
        self.newer = self._link("after", first) if way and first else ""
        self.older = self._link("before", last) if last and (page.more or way == "after") else ""
        self.further = self.newer if way == "after" else self.older

    def _page(self, request: HttpRequest, way: str, number: int) -> Page:
        if self.trouble:
            return Page([], False)
        try:
            with patience(self.queryset.db):
                return self.walk(request).page(way, number, self.list_per_page)
        except TooSlow:
            self.trouble = gettext(
                "That would take the database too long. Narrow it: give a time, such as "
                "after:2026-11-01, an id, or the whole of a routing key."
            )
            return Page([], False)

    def _ends(self, page: Page, way: str) -> tuple[Any, Any]:
        """Return the rows at which the newer and the older pages begin."""
        first, last = (page.rows[0], page.rows[-1]) if page.rows else (None, None)
        self.reached = page.reached
        if page.reached is None:
            return first, last
        admin: Any = self.model_admin
        self.reached_at = shown.instant(getattr(page.reached, admin.clock))
        return (page.reached, last or page.reached) if way == "after" else (first, page.reached)

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
