"""What may one do here? Redrive and discard, each with a permission, each told with a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from taskrouting import context, events, operators
from taskrouting.exceptions import CannotRedrive
from taskrouting.models import DeadLetter, Delivery

from .record import OfEventAdmin, Rows

if TYPE_CHECKING:
    Form = forms.Form
else:
    Form = forms.Form

#: Refusals that are told one by one; more of them are only counted.
MOST_TOLD = 5


class RedriveAdmin(OfEventAdmin):
    """Rows that can be redriven: dead letters, and deliveries that died."""

    actions: Sequence[Any] = ("redrive",)

    @admin.action(description=_("Redrive"), permissions=["redrive"])
    def redrive(self, request: HttpRequest, queryset: Rows) -> None:
        """Send the ticked rows round again; what is closed by now is left alone."""
        actor = actor_of(request)
        count, refusals = 0, []
        for row in queryset.defer(None):
            try:
                count += _redrive(row, actor)
            except CannotRedrive as refusal:
                refusals.append(str(refusal))
        done = ngettext(
            "%(count)d dead letter redriven.", "%(count)d dead letters redriven.", count
        )
        _tell(request, done, count, refusals)

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        """Seeing a dead letter is not the right to run it again."""
        return may(request, "redrive_deadletter")


class DiscardForm(Form):
    """Why is this not worth another try?"""

    reason = forms.CharField(
        label=_("Reason"),
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True, "class": "vLargeTextField"}),
        max_length=1000,
        help_text=_("Kept with the dead letter and in the audit log, with your name."),
    )


class DiscardAdmin(RedriveAdmin):
    """Rows that can be discarded as well: dead letters."""

    actions = ("redrive", "discard")

    @admin.action(description=_("Discard…"), permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: Rows) -> HttpResponse | None:
        """Ask for a reason, then close the ticked dead letters for good."""
        letters = [row for row in queryset if isinstance(row, DeadLetter)]
        form = DiscardForm(request.POST if "confirmed" in request.POST else None)
        if letters and not form.is_valid():
            return self._ask(request, letters, form)
        actor = actor_of(request)
        count = sum(
            operators.discard(letter, form.cleaned_data["reason"], actor=actor)
            for letter in letters
        )
        done = ngettext(
            "%(count)d dead letter discarded.", "%(count)d dead letters discarded.", count
        )
        _tell(request, done, count, [])
        return None

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Seeing a dead letter is not the right to drop it."""
        return may(request, "discard_deadletter")

    def _ask(
        self, request: HttpRequest, letters: Sequence[DeadLetter], form: DiscardForm
    ) -> HttpResponse:
        """Show what would be discarded, and ask why."""
        asked = {
            **self.admin_site.each_context(request),
            "title": gettext("Discard dead letters"),
            "opts": self.opts,
            "media": self.media + form.media,
            "form": form,
            "letters": letters,
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/taskrouting/discard.html", asked)


def _redrive(row: Model, actor: str | None) -> bool:
    if isinstance(row, Delivery):
        return operators.redrive_delivery(row, actor=actor)
    assert isinstance(row, DeadLetter)  # noqa: S101  # for the type checker
    return operators.redrive(row, actor=actor)


def may(request: HttpRequest, permission: str) -> bool:
    """Tell whether the user has one of the permissions on dead letters."""
    return request.user.has_perm(f"{DeadLetter._meta.app_label}.{permission}")


def actor_of(request: HttpRequest) -> str | None:
    """Name the user, where no ActorMiddleware has done it."""
    if context.current().actor is not None:
        return None
    user: Any = request.user
    return f"{user._meta.label_lower}:{user.pk} ({user.get_username()})"[: events.MAX_LENGTH]


def _tell(request: HttpRequest, done: str, count: int, refusals: Sequence[str]) -> None:
    """Say how many rows it was done with, which were left alone, and what was refused and why."""
    if count:
        messages.success(request, done % {"count": count})
    alone = len(request.POST.getlist(ACTION_CHECKBOX_NAME)) - count - len(refusals)
    if alone > 0:
        text = ngettext(
            "%(count)d was left alone: it is not open, or not dead, any more.",
            "%(count)d were left alone: they are not open, or not dead, any more.",
            alone,
        )
        messages.warning(request, text % {"count": alone})
    for refusal in refusals[:MOST_TOLD]:
        messages.error(request, refusal)
    untold = len(refusals) - MOST_TOLD
    if untold > 0:
        text = ngettext("%(count)d more was refused.", "%(count)d more were refused.", untold)
        messages.error(request, text % {"count": untold})
