"""Which tables does the transport own? Messages waiting in the database, and bindings."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Message(models.Model):
    """A message waiting in the database: outbox, ``django://`` queues, retries and leases.

    A claim is a token and a visibility time in the future, so delay, lease and crash recovery are
    one column (``available_at``) and one predicate. All times are the database's clock.
    """

    queue = models.CharField(_("queue"), max_length=255)
    event_id = models.CharField(_("event id"), max_length=255, blank=True)
    source = models.CharField(_("source"), max_length=255, blank=True)
    exchange = models.CharField(_("exchange"), max_length=255, blank=True)
    routing_key = models.CharField(_("routing key"), max_length=255)
    subscription = models.CharField(_("subscription"), max_length=255, blank=True)
    token = models.UUIDField(_("token"), null=True)
    body = models.BinaryField(_("body"))
    headers = models.JSONField(_("headers"), default=dict)
    properties = models.JSONField(_("properties"), default=dict)
    content_type = models.CharField(_("content type"), max_length=255, blank=True)
    content_encoding = models.CharField(_("content encoding"), max_length=255, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=0)
    available_at = models.DateTimeField(_("available at"), db_default=Now())
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    claim = models.UUIDField(_("claim"), null=True)
    deliveries = models.PositiveIntegerField(_("times handed out"), default=0)

    class Meta:
        verbose_name = _("waiting message")
        verbose_name_plural = _("waiting messages")
        permissions = [("export_message", _("Can export waiting messages"))]
        indexes = [
            # The claim's own order: one queue, highest priority, longest due, oldest. Without the
            # last, many that are due at one instant would be sorted for every claim.
            models.Index(
                "queue",
                models.F("priority").desc(),
                "available_at",
                "id",
                name="taskrouting_message_due",
            ),
            # Written for every message, so as small as can be: no LIKE, and few have a token.
            models.Index(fields=["event_id"], name="taskrouting_message_event"),
            models.Index(
                fields=["token"],
                condition=models.Q(token__isnull=False),
                name="taskrouting_message_token",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key} → {self.queue}"


class Binding(models.Model):
    """A binding of the embedded broker, or one that we made on another and may have to remove.

    The embedded broker routes by its rows; there a queue's binding to the default exchange
    (``exchange=""``) records that the queue exists. RabbitMQ cannot be asked for its bindings over
    AMQP, so what we bind there is remembered here, until the code no longer declares it and it is
    unbound.
    """

    #: Kombu's name of the transport it was made on; empty for the embedded broker.
    broker = models.CharField(_("broker"), max_length=50, blank=True)
    exchange = models.CharField(_("exchange"), max_length=255, blank=True)
    pattern = models.CharField(_("pattern"), max_length=255)
    queue = models.CharField(_("queue"), max_length=255)

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["broker", "exchange", "pattern", "queue"], name="taskrouting_binding_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.exchange or '(default)'} —{self.pattern}→ {self.queue}"
