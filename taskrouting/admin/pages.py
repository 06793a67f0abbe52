"""What do our pages that show no table have in common? A place in the index, and a permission.

Django's admin has pages for models only, so each is the list page of a proxy model.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from .asking import refuse_nul
from .frames import framed
from .reading import may_view
from .record import RecordAdmin


class PageAdmin(RecordAdmin):
    """A page for those who may view the table that its model is a proxy of."""

    #: The template in ``admin/taskrouting``, which extends ``page.html``.
    template = ""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may view the table may view what is told of it."""
        shown = self.model._meta.concrete_model
        assert shown is not None  # noqa: S101  # only an abstract model has none
        return may_view(request, shown)

    def get_urls(self) -> list[URLPattern]:
        """Return the address of the page: no row of it has one."""
        shown = self.admin_site.admin_view(self.changelist_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", shown, name=name)]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page; who may not see it is refused before anything is read for it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        refuse_nul(request)
        return self.page(request, self.template, self.told(request))

    def told(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the page tells."""
        return {}

    def page(self, request: HttpRequest, template: str, told: dict[str, Any]) -> HttpResponse:
        """Render ``template`` in the admin's frame, for those who may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        title = str(self.opts.verbose_name_plural).capitalize()
        return framed(self, request, template, title, **told)
