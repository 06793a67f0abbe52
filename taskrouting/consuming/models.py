"""Which tables does consuming own? The ledger, the worker processes, and queues that rest."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Delivery(models.Model):
    """One event on its way to one subscription, over all attempts.

    ``token`` names the one copy of the message that is entitled to run next; ``NULL`` means that
    none is, since there is an outcome.
    """

    class State(models.TextChoices):
        """Where the delivery stands."""

        PENDING = "pending", _("waiting")
        RUNNING = "running", _("running")
        HANDLED = "handled", _("handled")
        DISCARDED = "discarded", _("discarded")
        DEAD = "dead", _("dead")

    event_id = models.CharField(_("event id"), max_length=255)
    source = models.CharField(_("source"), max_length=255)
    subscription = models.CharField(_("subscription"), max_length=255)
    queue = models.CharField(_("queue"), max_length=255)
    routing_key = models.CharField(_("routing key"), max_length=255)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    crashes = models.PositiveIntegerField(_("crashes"), default=0)
    suspect = models.BooleanField(_("suspect"), default=False)
    errors = models.JSONField(_("errors"), default=list)
    result = models.JSONField(_("result"), null=True)
    token = models.UUIDField(_("token"), null=True)
    received_at = models.DateTimeField(_("received at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    worker = models.CharField(_("worker"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = [("export_delivery", _("Can export deliveries"))]
        constraints = [
            # The promise itself: the database refuses a second delivery of the same event.
            models.UniqueConstraint(
                fields=["event_id", "source", "subscription"], name="taskrouting_delivery_once"
            ),
        ]
        indexes = [
            models.Index(
                "subscription",
                "state",
                condition=~models.Q(state="handled"),
                name="taskrouting_delivery_unhandled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key} → {self.subscription} ({self.state})"


class WorkerProcess(models.Model):
    """A worker process that says it is alive."""

    class Order(models.TextChoices):
        """What an operator has asked of it."""

        RESTART = "restart", _("make room for a fresh process")
        STOP = "stop", _("stop")

    name = models.CharField(_("name"), max_length=255, unique=True)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    version = models.CharField(_("version"), max_length=50)
    queues = models.JSONField(_("queues"), default=list)
    #: What its code subscribes on each of its queues: ``{queue: {subscription: [pattern]}}``.
    subscriptions = models.JSONField(_("subscriptions"), default=dict)
    threads = models.PositiveIntegerField(_("threads"))
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    seen_at = models.DateTimeField(_("last heartbeat"), db_default=Now())
    #: As of the last heartbeat; empty where a worker of an older release does not say.
    busy = models.PositiveIntegerField(_("threads busy"), null=True)
    in_hand = models.PositiveIntegerField(_("messages in hand"), null=True)
    memory = models.PositiveBigIntegerField(_("resident memory"), null=True)
    order = models.CharField(_("asked to"), max_length=10, choices=Order, blank=True, db_default="")
    ordered_by = models.CharField(_("asked by"), max_length=255, blank=True, db_default="")

    class Meta:
        verbose_name = _("worker process")
        verbose_name_plural = _("worker processes")
        permissions = [("stop_workerprocess", _("Can stop and restart worker processes"))]

    def __str__(self) -> str:
        return self.name


class Pause(models.Model):
    """A queue that rests: no worker takes anything from it."""

    queue = models.CharField(_("queue"), max_length=255, unique=True)
    actor = models.CharField(_("actor"), max_length=255, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    since = models.DateTimeField(_("since"), db_default=Now())

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        default_permissions = ()
        permissions = [("pause_queue", _("Can pause and resume queues"))]

    def __str__(self) -> str:
        return self.queue
