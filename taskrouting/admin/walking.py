"""How does one find 50 rows among ten million without an index for every question?

A list is walked from its newest row downwards, along an index that knows this order. Where the
index knows all that is asked, the walk takes the rows it needs and ends. Where it does not, the
walk looks at ``WINDOW`` rows and no more, and says how far it came: the next page goes on there.
So a page costs the same wherever it is, whatever is asked, and however rare it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db import connections
from django.db.models import F, Max, Min, Model, Q, QuerySet

Rows = QuerySet[Model, Model]

#: Rows that are looked at for one page where no index knows what is asked.
WINDOW = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """An index that hands out rows in order, and what of the question it knows.

    More than one branch are several runs of an index, merged: one for each routing key.
    """

    #: None where whatever index is taken, few rows are found.
    branches: tuple[Rows, ...] = ()

    #: Names of the conditions that the branches fulfil.
    knows: frozenset[str] = frozenset()

    #: The column that orders them, before their number; empty for the number alone.
    clock: str = ""

    #: Its rows may lie far apart in the table: they are found by the index alone, and then read.
    apart: bool = False

    #: The branch is a short run of an index in another order, to be sorted, and not to be walked.
    scattered: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first."""

    rows: list[Any]

    #: Whether there is, or may be, more that way.
    more: bool

    #: The last row that was looked at, where the walk ended before it had enough.
    reached: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The rows that fulfil everything, by a path that knows all or some of it."""

    rows: Rows
    path: Path
    exact: bool

    def page(self, way: str, number: int, limit: int) -> Page:
        """Return the rows ``before`` or ``after`` the one with that number, or the newest."""
        rising = way == "after"
        place = self._place(way, number) if way else Q()
        if not self.path.branches or self.path.scattered:
            found = self._sorted(self.rows.filter(place), rising)[: limit + 1]
            return _page(list(found), limit, rising)
        if self.exact:
            return _page(list(self._along(place, rising, limit + 1)), limit, rising)
        return self._windowed(place, rising, limit)

    def _windowed(self, place: Q, rising: bool, limit: int) -> Page:
        """Look at the rows of one window, whose far end is found in the index alone."""
        (branch,) = self.path.branches
        ordered = self._ordered(branch.filter(place), rising)
        along = self.path.clock or "pk"
        end = (Max if rising else Min)(along)
        edge = ordered.values(along)[:WINDOW].aggregate(edge=end)["edge"]
        if edge is None:
            return Page([], False)
        inside = Q(**{f"{along}__{'lte' if rising else 'gte'}": edge})
        order = self._sorted if self.path.apart else self._ordered
        found = order(self.rows.filter(place, inside), rising)
        page = _page(list(found[: limit + 1]), limit, rising)
        return page if page.more else self._reached(page, ordered.exclude(inside), edge, rising)

    def _reached(self, page: Page, beyond: Rows, edge: Any, rising: bool) -> Page:
        """Say how far the window went, where it ended before the table did."""
        if beyond.first() is None:
            return page
        known = self.rows.model._default_manager.using(self.rows.db)
        at_edge = known.filter(**{self.path.clock or "pk": edge}).order_by("pk")
        return replace(page, more=True, reached=at_edge.last() if rising else at_edge.first())

    def _along(self, place: Q, rising: bool, limit: int) -> Any:
        """Walk the branches, which are all that was asked for.

        Their numbers come first, for the index alone has them. Asked for whole rows, PostgreSQL
        takes a value that is common for one that is everywhere: it walks the table by its numbers,
        past millions of rows where the value has not come for long.
        """
        placed = [branch.filter(place).order_by() for branch in self.path.branches]
        if not self.path.apart:
            (branch,) = placed
            return self._ordered(branch, rising)[:limit]
        numbers = self._merged([branch.values("pk") for branch in placed], rising, limit)
        found = self.rows.filter(pk__in=[row["pk"] for row in numbers])
        return self._ordered(found, rising)

    def _merged(self, branches: list[Any], rising: bool, limit: int) -> Any:
        """Merge the numbers of the branches' rows."""
        if len(branches) == 1:
            return self._ordered(branches[0], rising)[:limit]
        if connections[self.rows.db].features.supports_slicing_ordering_in_compound:
            branches = [self._ordered(branch, rising)[:limit] for branch in branches]
        first, *others = branches
        return self._ordered(first.union(*others, all=True), rising)[:limit]

    def _place(self, way: str, number: int) -> Q:
        """Say that a row comes before, or after, the one with that number."""
        than = "lt" if way == "before" else "gt"
        beyond = Q(**{f"pk__{than}": number})
        if not (clock := self.path.clock):
            return beyond
        known = self.rows.model._default_manager.using(self.rows.db).filter(pk=number)
        when = known.values_list(clock, flat=True).first()
        if when is None:
            return Q(pk__in=[])
        later = Q(**{f"{clock}__{than}": when}) | (Q(**{clock: when}) & beyond)
        return Q(**{f"{clock}__{than}e": when}) & later

    def _sorted(self, rows: Rows, rising: bool) -> Rows:
        """Sort what is little, by a sum: no database then walks the whole table by its numbers."""
        number = F("pk") + 0
        return rows.order_by(number.asc() if rising else number.desc())

    def _ordered(self, rows: Any, rising: bool) -> Any:
        sign = "" if rising else "-"
        return rows.order_by(*(f"{sign}{each}" for each in (self.path.clock, "pk") if each))


def _page(rows: list[Any], limit: int, rising: bool) -> Page:
    page = rows[:limit]
    return Page(page[::-1] if rising else page, len(rows) > limit)
