"""Which tables do the gauges own? What was counted, and what was last heard of whom."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Figure(models.Model):
    """What was counted in one stretch of time, by all processes together.

    Every process adds to it now and then, so nothing in it is about one process or one event.
    """

    class Measure(models.TextChoices):
        """What is counted. What became of deliveries is counted under the names of outcomes."""

        HANDLED = "handled", _("handled")
        RETRY = "retry", _("failed, to be tried again")
        DEAD = "dead", _("failed for good")
        DISCARDED = "discarded", _("discarded")
        SNOOZED = "snoozed", _("snoozed")
        DUPLICATE = "duplicate", _("duplicate")
        LOST = "lost", _("taken over by another worker")
        LATENCY = "latency", _("time from the event until it was handled")
        DURATION = "duration", _("time that an attempt took")
        RELAYED = "relayed", _("taken by the broker")
        BACKLOG = "backlog", _("messages that waited, summed over all looks")
        LOOKS = "looks", _("looks at what waits")

    #: Seconds that the stretch lasts, and when it begins, by the database's clock.
    span = models.PositiveIntegerField(_("span"))
    since = models.DateTimeField(_("since"))
    queue = models.CharField(_("queue"), max_length=255)
    subscription = models.CharField(_("subscription"), max_length=255, blank=True)
    measure = models.CharField(_("measure"), max_length=10, choices=Measure)
    #: Which step of the scale, where lengths of time are counted; else 0.
    step = models.PositiveSmallIntegerField(_("step"), default=0)
    count = models.BigIntegerField(_("count"), default=0)

    class Meta:
        verbose_name = _("figure")
        verbose_name_plural = _("figures")
        default_permissions = ()
        constraints = [
            # Its index is also what every reader follows: one span, from an instant on.
            models.UniqueConstraint(
                fields=["span", "since", "queue", "subscription", "measure", "step"],
                name="taskrouting_figure_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.count} ({self.queue}, {self.since})"


class Pulse(models.Model):
    """What was last heard of a relay, and of whoever met a fault."""

    class Fault(models.TextChoices):
        """What is wrong there."""

        NONE = "", _("nothing")
        BROKER = "broker", _("the broker is away")
        BLOCKED = "blocked", _("the broker takes no messages")
        DATABASE = "database", _("the database is away")

    name = models.CharField(_("name"), max_length=255, unique=True)
    seen_at = models.DateTimeField(_("last heard"), db_default=Now())
    fault = models.CharField(_("fault"), max_length=10, choices=Fault, blank=True)
    error = models.TextField(_("error"), blank=True)
    #: For how long it had been wrong when it was last heard.
    failing_for = models.DurationField(_("failing for"), null=True)

    class Meta:
        verbose_name = _("pulse")
        verbose_name_plural = _("pulses")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
