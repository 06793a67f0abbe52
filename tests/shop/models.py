"""What does the shop keep? Orders and their lines."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Order(models.Model):
    """Something bought; ``password`` opens its parcel and must not leave in an event."""

    number = models.CharField(max_length=50)
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    password = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return self.number


class Line(models.Model):
    """One article of an order."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    sku = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.sku
