"""Which table is the record?"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class AuditLog(models.Model):
    """One event that happened. Rows are inserted and never changed.

    No foreign keys: the record outlives the users and rows it speaks of. Binary data is kept as
    ``{"data_base64": "..."}``.
    """

    event_id = models.CharField(_("event id"), max_length=255)
    source = models.CharField(_("source"), max_length=255)
    routing_key = models.CharField(_("routing key"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    actor = models.CharField(_("actor"), max_length=255, blank=True)
    correlation_id = models.CharField(_("correlation id"), max_length=255, blank=True)
    causation_id = models.CharField(_("causation id"), max_length=255, blank=True)
    traceparent = models.CharField(_("trace parent"), max_length=255, blank=True)
    data = models.JSONField(_("data"), null=True)
    extensions = models.JSONField(_("extensions"), default=dict)
    occurred_at = models.DateTimeField(_("occurred at"))
    relayed_at = models.DateTimeField(_("relayed at"), null=True)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now())

    class Meta:
        verbose_name = _("audit log entry")
        verbose_name_plural = _("audit log")
        permissions = [("export_auditlog", _("Can export the audit log"))]
        constraints = [
            # One row per event, whatever is delivered again: the database refuses the second.
            models.UniqueConstraint(fields=["event_id", "source"], name="taskrouting_audit_once"),
        ]
        indexes = [
            models.Index("routing_key", models.F("id").desc(), name="taskrouting_audit_key"),
            # With the row's number: a nightly import may be one conversation of a million events,
            # and one event may have caused them all.
            models.Index(
                "correlation_id",
                "id",
                condition=~models.Q(correlation_id=""),
                name="taskrouting_audit_correlation",
            ),
            models.Index(
                "causation_id",
                "id",
                condition=~models.Q(causation_id=""),
                name="taskrouting_audit_causation",
            ),
            models.Index(
                "subject",
                models.F("id").desc(),
                condition=~models.Q(subject=""),
                name="taskrouting_audit_subject",
            ),
            models.Index("occurred_at", name="taskrouting_audit_occurred"),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key} {self.event_id}"
