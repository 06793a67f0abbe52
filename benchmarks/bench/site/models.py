"""What does a handler write? One row, whoever runs it."""

from __future__ import annotations

import uuid

from django.db import models


class Row(models.Model):
    """The row that the job called ``handler`` creates."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    key = models.CharField(max_length=255)
    payload = models.JSONField()
    headers = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.key
