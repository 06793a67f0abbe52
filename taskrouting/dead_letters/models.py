"""Which tables do dead letters live in? One of their own, and one of what is wished for many."""

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
    #: What it has in common with others that died of the same: see ``causes.py``.
    #: With a default in the database, so that a worker of an older release can write as well.
    cause = models.CharField(_("cause"), max_length=255, blank=True, default="", db_default="")
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
            ("export_deadletter", _("Can export dead letters")),
        ]
        indexes = [
            models.Index(
                "created_at",
                condition=models.Q(resolved_at=None),
                name="taskrouting_deadletter_open",
            ),
            # Only open ones are grouped, and each group is walked by number, both ways.
            models.Index(
                "queue",
                "subscription",
                "cause",
                "id",
                condition=models.Q(resolved_at=None),
                name="taskrouting_deadletter_cause",
            ),
            models.Index(
                "id",
                condition=models.Q(resolved_at=None),
                name="taskrouting_deadletter_open_id",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key or '?'} ({self.reason})"


class Sweep(models.Model):
    """One wish about every open dead letter that matches: to redrive, or to discard them.

    It is frozen: what comes later has a higher number than ``upto`` and is left alone. Relays
    work it off in steps, oldest first; ``position`` is the number of the last one looked at.
    """

    class Deed(models.TextChoices):
        """What is wished for each of them."""

        REDRIVE = "redrive", _("redrive")
        DISCARD = "discard", _("discard")

    class State(models.TextChoices):
        """How far it is."""

        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    deed = models.CharField(_("deed"), max_length=10, choices=Deed)
    #: Which ones, as Django writes it: ``{"queue": "mail_queue", "created_at__gte": "2026-…"}``.
    chosen = models.JSONField(_("chosen"), default=dict)
    upto = models.BigIntegerField(_("highest number"))
    #: How many matched when it began; counting ends somewhere, and then there are more.
    matched = models.PositiveIntegerField(_("matched"))
    more = models.BooleanField(_("and more"), default=False)
    rate = models.PositiveIntegerField(_("rate"))
    note = models.TextField(_("note"), blank=True)
    actor = models.CharField(_("actor"), max_length=255, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.RUNNING)
    position = models.BigIntegerField(_("position"), default=0)
    succeeded = models.PositiveIntegerField(_("done"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    trouble = models.TextField(_("trouble"), blank=True)
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    due_at = models.DateTimeField(_("next step at"), db_default=Now())
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("sweep of dead letters")
        verbose_name_plural = _("sweeps of dead letters")
        default_permissions = ()
        indexes = [
            models.Index(
                "due_at", condition=models.Q(state="running"), name="taskrouting_sweep_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deed} {self.matched}{'+' if self.more else ''} ({self.state})"
