"""Which table do alerts own? What was told and when, so that no restart and no host tells twice."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Alarm(models.Model):
    """One thing that is watched for all hosts: a limit, or whose turn it is to look."""

    kind = models.CharField(_("kind"), max_length=50)
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    #: Since when it has been told that the limit is passed; ``NULL``: it is not.
    raised_at = models.DateTimeField(_("raised at"), null=True)
    told_at = models.DateTimeField(_("last told at"), null=True)
    #: When something last came to the queue, and the newest row that was looked at for it.
    heard_at = models.DateTimeField(_("last heard of at"), db_default=Now())
    mark = models.BigIntegerField(_("looked up to"), default=0)

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], name="taskrouting_alarm_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}".strip()
