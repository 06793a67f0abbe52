"""What do all our pages have in common? They are read-only, never count, and read ``DATABASE``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from taskrouting import conf
from taskrouting.models import AuditLog

from . import clocks, links, searching, shown
from .asking import refuse_nul
from .paging import KeysetChangeList, place_of
from .reading import may_view
from .searching import FEW, TIMES, Term
from .walking import Path

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin

Rows = QuerySet[Model, Model]


class RecordAdmin(ModelAdmin):
    """Rows that the machinery writes: visible to who may view them, editable by nobody."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    ordering = ("-id",)
    empty_value_display = shown.NOTHING
    sortable_by = ()

    #: What may stand before the colon in the search box -> the column.
    searched: ClassVar[searching.Columns] = {}

    #: The column that says when a row was written.
    clock: ClassVar[str] = ""

    #: Columns that can be large, which a list does not read.
    unlisted: ClassVar[tuple[str, ...]] = ()

    #: Columns and fields that link to stories -> the same without a link, which nobody may follow
    #: who may not view the audit log.
    unlinked: ClassVar[Mapping[str, str]] = {}

    #: What people should know who look at the list.
    about: ClassVar[Any] = ""

    class Media:
        css: ClassVar[Mapping[str, Any]] = {"all": ["taskrouting/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> Rows:
        """Read the database that ledger, audit log and dead letters are in."""
        return super().get_queryset(request).using(conf.current().database)

    def listed(self, rows: Rows) -> Rows:
        """Prepare ``rows`` for a list."""
        return rows.defer(*self.unlisted)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        """Leaf from row to row."""
        return KeysetChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Say below the search box what it takes."""
        changes = super().get_changelist_instance(request)
        changes.search_help_text = searching.explained(self.searched)
        return changes

    def changes(self, request: HttpRequest) -> KeysetChangeList:
        """Return the list that the address asks for, for a page that is not the list itself."""
        try:
            return cast(KeysetChangeList, self.get_changelist_instance(request))
        except IncorrectLookupParameters as error:
            raise BadRequest(f"The list cannot be asked for this: {error}") from error

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Take our filters' parameters alone: any other would find out what is not shown."""
        return lookup in {getattr(each, "parameter_name", "") for each in self.list_filter}

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the columns; Django shows a search box where there are any."""
        return tuple(self.searched.values())

    def get_search_results(
        self, request: HttpRequest, queryset: Rows, search_term: str
    ) -> tuple[Rows, bool]:
        """Leave it to the list, which can say what is wrong with what was typed."""
        return queryset, False

    def read(self, request: HttpRequest, text: str) -> tuple[Term, ...]:
        """Return the conditions that ``text`` asks for. Raises searching.Mistake."""
        rows = self.get_queryset(request)
        terms = searching.read(text, self.searched, rows)
        timed = (self.timed(rows, term) if term.name in TIMES else term for term in terms)
        return tuple(_beginning(place_of(request), term) for term in timed)

    def timed(self, rows: Rows, term: Term) -> Term:
        """Say when in words that an index of the table knows: by the numbers of its rows."""
        say = clocks.since if term.name == "after" else clocks.until
        return replace(term, lookups=say(rows, self.clock, term.value))

    def path(self, request: HttpRequest, asked: Sequence[Term]) -> Path:
        """Return the index to walk along for what is asked, and what of it that knows."""
        rows = self.listed(self.get_queryset(request))
        if any(term.name in FEW for term in asked):  # whatever else is asked, there are few
            return Path(knows=frozenset(term.name for term in asked))
        times = [term for term in asked if term.name in TIMES]
        return Path(branches=(knowing(rows, times),), knows=frozenset(TIMES))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns, without links to what the user may not see."""
        return self._linked(request, super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Return the fields, without links to what the user may not see."""
        return [
            (title, {**options, "fields": self._linked(request, options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _linked(self, request: HttpRequest, names: Iterable[Any]) -> list[Any]:
        if may_view(request, AuditLog):
            return list(names)
        return [self.unlinked.get(name, name) for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Return every field that is shown."""
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes a row by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a row by hand."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and what people should know about it."""
        refuse_nul(request)
        return super().changelist_view(request, {"about": self.about, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the row, and what belongs to it."""
        context.update(self.told_of(request, context["original"]))
        return super().render_change_form(request, context, *args, **kwargs)

    def told_of(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        """Return what the page of ``row`` shows beside its columns: its actions."""
        allowed = self.get_actions(request)
        names = [name for name in self.possible(row) if name in allowed]
        return {
            "row_actions": [(name, getattr(self, name).short_description) for name in names],
            "actions_address": links.actions_of(row),
        }

    def possible(self, row: Model) -> Iterable[str]:
        """Return the names of the actions that make sense for ``row`` as it is now."""
        return ()

    def response_action(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Act on the rows that were ticked, never on "all that match": nobody saw those."""
        posted = request.POST.copy()
        posted["select_across"] = "0"
        request.POST = posted  # type: ignore[assignment]  # a QueryDict, only one that can change
        return super().response_action(request, *args, **kwargs)


def _beginning(place: tuple[str, int], term: Term) -> Term:
    """Let ``before:`` end where the page begins, if that is earlier.

    Of two upper bounds on a number SQLite uses one, and may walk from the wrong one.
    """
    way, number = place
    if way != "before" or "pk__lt" not in term.lookups:
        return term
    return replace(term, lookups={**term.lookups, "pk__lt": min(term.lookups["pk__lt"], number)})


def knowing(rows: Rows, terms: Iterable[Term]) -> Rows:
    """Narrow ``rows`` by ``terms``."""
    return rows.filter(*(term.condition for term in terms))


class OfEventAdmin(RecordAdmin):
    """Rows that belong to an event, a queue and perhaps a subscription."""

    searched: ClassVar[searching.Columns] = {"event": "event_id", "key": "routing_key"}
    unlinked: ClassVar[Mapping[str, str]] = {
        "event": "event_alone", "brief_event": "brief_event_alone",
    }  # fmt: skip

    @admin.display(description=_("event"))
    def event(self, row: Any) -> SafeString:
        """Link to the event's story."""
        return links.to_event(row.event_id, row.source)

    @admin.display(description=_("event"))
    def brief_event(self, row: Any) -> SafeString:
        """Link to the event's story, in little room."""
        return links.to_event(row.event_id, row.source, shown.brief(row.event_id))

    @admin.display(description=_("event"))
    def event_alone(self, row: Any) -> SafeString:
        """Show the event's id."""
        return shown.code(row.event_id)

    @admin.display(description=_("event"))
    def brief_event_alone(self, row: Any) -> SafeString:
        """Show the event's id, in little room."""
        return shown.brief(row.event_id)

    @admin.display(description=_("where"))
    def place(self, row: Any) -> SafeString:
        """Show where it was going."""
        return shown.place(row.queue, row.subscription)
