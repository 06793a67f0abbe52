"""What does the page of the topology show? What is routed where, and how it stands there.

Two boxes ask: where would this routing key go, and what would this pattern have caught? Both are in
the address, so that an answer can be linked. Pausing and resuming are posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from taskrouting import catalog, operators, wiring
from taskrouting.audit import keys
from taskrouting.exceptions import ConfigurationError, InvalidPattern, InvalidRoutingKey
from taskrouting.json_text import storable
from taskrouting.models import Topology

from .actions import actor_of
from .pages import PageAdmin
from .topology_shown import Shown

#: The longest reason for a pause that is kept.
LONGEST_REASON = 1000

#: What is said when it is done, and when it was so before.
PAUSED = (
    _("Queue %(queue)s is paused. Workers take nothing more from it within a few seconds."),
    _("Queue %(queue)s was paused already."),
)
RESUMED = (
    _("Queue %(queue)s is resumed. Workers take from it again within a few seconds."),
    _("Queue %(queue)s was not paused."),
)


@admin.register(Topology)
class TopologyAdmin(PageAdmin):
    """Exchange, bindings, queues and subscriptions."""

    template = "topology.html"

    class Media:
        css: ClassVar[Mapping[str, Any]] = {"all": ["taskrouting/operating.css"]}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page, or let a queue rest or go on."""
        if request.method == "POST":
            return self._act(request)
        return super().changelist_view(request, extra_context)

    def told(self, request: HttpRequest) -> dict[str, Any]:
        """Return the picture, and the answers to what was asked."""
        key, pattern = (request.GET.get(name, "").strip() for name in ("key", "pattern"))
        told: dict[str, Any] = {"key": key, "pattern": pattern}
        if key:
            try:
                told["route"] = catalog.explain(key)
            except InvalidRoutingKey as error:
                told["key_error"] = str(error)
        may_look_back = request.user.has_perm("taskrouting.view_auditlog")
        if pattern and may_look_back:
            try:
                told["catch"] = keys.caught(pattern)
            except InvalidPattern as error:
                told["pattern_error"] = str(error)
        found = wiring.look()
        picture = Shown(found, request.user, told.get("route"))
        may_pause = self.has_pause_permission(request)
        may = {"may_pause": may_pause, "may_look_back": may_look_back}
        return {**told, **may, "wiring": found, "shown": picture}

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Seeing a queue is not the right to let it rest."""
        return request.user.has_perm("taskrouting.pause_queue")

    def _act(self, request: HttpRequest) -> HttpResponse:
        """Let a queue rest or go on, and say so."""
        if not (self.has_view_permission(request) and self.has_pause_permission(request)):
            raise PermissionDenied
        queue, actor = request.POST.get("queue", ""), actor_of(request)
        try:
            if request.POST.get("action") == "pause":
                reason = storable(request.POST.get("reason", "")).strip()[:LONGEST_REASON]
                self._say(request, operators.pause(queue, reason, actor=actor), queue, PAUSED)
            elif request.POST.get("action") == "resume":
                self._say(request, operators.resume(queue, actor=actor), queue, RESUMED)
        except ConfigurationError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(request.get_full_path())

    def _say(self, request: HttpRequest, done: bool, queue: str, words: tuple[str, str]) -> None:
        say = messages.success if done else messages.warning
        say(request, gettext(words[0] if done else words[1]) % {"queue": queue})
