"""What do all our pages have in common? They are read-only, never count, and read ``DATABASE``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from taskrouting import conf

from . import links, searching, shown
from .paging import KeysetChangeList

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

    #: Columns that can be large, which a list does not read.
    unlisted: ClassVar[tuple[str, ...]] = ()

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

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the columns; Django shows a search box where there are any."""
        return tuple(self.searched.values())

    def get_search_results(
        self, request: HttpRequest, queryset: Rows, search_term: str
    ) -> tuple[Rows, bool]:
        """Look for exact values; nothing is found twice, so nothing needs DISTINCT."""
        return searching.narrowed(queryset, search_term, self.searched), False

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


class OfEventAdmin(RecordAdmin):
    """Rows that belong to an event, a queue and perhaps a subscription."""

    searched: ClassVar[searching.Columns] = {"event": "event_id", "key": "routing_key"}

    @admin.display(description=_("event"))
    def event(self, row: Any) -> SafeString:
        """Link to the event's story."""
        return links.to_event(row.event_id, row.source)

    @admin.display(description=_("event"))
    def brief_event(self, row: Any) -> SafeString:
        """Link to the event's story, in little room."""
        return links.to_event(row.event_id, row.source, shown.brief(row.event_id))

    @admin.display(description=_("where"))
    def place(self, row: Any) -> SafeString:
        """Show where it was going."""
        return shown.place(row.queue, row.subscription)
