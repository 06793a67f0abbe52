"""Which table do dead letters live in?"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class DeadLetter(models.Model):
    """A message or delivery we gave up on: kept until somebody redrives or discards it."""

    class Reason(models.TextChoices):
        """Why it is here."""

        UNDECODABLE = "undecodable", _("bytes that are no event")
        NOT_ACCEPTED = "not_accepted", _("content type or signature not accepted")
        UNMATCHED = "unmatched", _("no subscription of the queue wants it")
        UNROUTABLE = "unroutable", _("no queue wants it")
        REFUSED = "refused", _("refused by the broker")
        BROKER = "broker", _("given up by the broker")
        EXHAUSTED = "exhausted", _("all attempts failed")
        REJECTED = "rejected", _("rejected by its handler")
        CRASHED = "crashed", _("took its worker down too often")

    class Resolution(models.TextChoices):
        """What an operator did about it."""

        REDRIVEN = "redriven", _("redriven")
        DISCARDED = "discarded", _("discarded")

    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    queue = models.CharField(_("queue"), max_length=255, blank=True)
    subscription = models.CharField(_("subscription"), max_length=255, blank=True)
    event_id = models.CharField(_("event id"), max_length=255, blank=True, db_index=True)
    source = models.CharField(_("source"), max_length=255, blank=True)
    routing_key = models.CharField(_("routing key"), max_length=255, blank=True)
    exchange = models.CharField(_("exchange"), max_length=255, blank=True)
    body = models.BinaryField(_("body"))
    headers = models.JSONField(_("headers"), default=dict)
    properties = models.JSONField(_("properties"), default=dict)
    content_type = models.CharField(_("content type"), max_length=255, blank=True)
    content_encoding = models.CharField(_("content encoding"), max_length=255, blank=True)
    error = models.TextField(_("error"), blank=True)
    #: The ledger's row, by its number: history may be pruned before the dead letter is resolved.
    delivery = models.BigIntegerField(_("delivery"), null=True, blank=True)
    #: Makes a second write of the same dead letter a no-op, where it has a natural identity.
    fingerprint = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  # NULLs do not collide
    created_at = models.DateTimeField(_("created at"), db_default=Now(), db_index=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    resolution = models.CharField(_("resolution"), max_length=20, choices=Resolution, blank=True)
    note = models.TextField(_("note"), blank=True)

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        permissions = [
            ("redrive_deadletter", _("Can redrive dead letters")),
            ("discard_deadletter", _("Can discard dead letters")),
        ]
        indexes = [
            models.Index(
                "created_at",
                condition=models.Q(resolved_at=None),
                name="taskrouting_deadletter_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key or '?'} ({self.reason})"
