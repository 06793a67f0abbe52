"""What does the shop keep? Orders and their lines, and the articles it has in stock."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from taskrouting import EventQuerySet


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


class Gift(Order):
    """An order for somebody else: a child by inheritance, with a table of its own."""

    wish = models.CharField(max_length=50)


class ExpressOrder(Order):
    """The same rows as orders, by another name."""

    class Meta:
        proxy = True


class Article(models.Model):
    """Something in stock, with a field of every kind that is hard to write down."""

    name = models.CharField(max_length=50, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, default=1)
    stock = models.IntegerField(default=0)
    value = models.GeneratedField(
        expression=models.F("price") * models.F("stock"),
        output_field=models.DecimalField(max_digits=12, decimal_places=2),
        db_persist=True,
    )
    released_at = models.DateTimeField(null=True)
    released_on = models.DateField(null=True)
    guarantee = models.DurationField(null=True)
    serial = models.UUIDField(null=True)
    photo = models.FileField(blank=True)
    checksum = models.BinaryField(null=True)
    details = models.JSONField(default=dict)

    objects = EventQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Coupon(models.Model):
    """Something whose key is known before it is saved."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    percent = models.IntegerField(default=10)

    objects = EventQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.id)
