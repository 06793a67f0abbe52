"""What do the books say? Business rows, and the effects that handlers left in the database."""

from __future__ import annotations

from django.db import models


class Fact(models.Model):
    """A business row, written in the transaction of its event: the truth about what committed."""

    event_id = models.CharField(max_length=255, primary_key=True)
    routing_key = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"{self.routing_key} {self.event_id}"


class Effect(models.Model):
    """What one handler wrote for one event; nothing keeps it from being written twice."""

    event_id = models.CharField(max_length=255)
    subscription = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"{self.subscription} of {self.event_id}"
