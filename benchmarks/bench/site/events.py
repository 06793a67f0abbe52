"""The event of django-domain-events; its codec wants typed fields and no dictionary.

Django finds this module through that package's autodiscovery, and through ours; for us there is
nothing in it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

if "django_domain_events" in os.environ.get("BENCH_APPS", ""):
    from django_domain_events import DURABLE, event, receiver

    from . import chores

    job = chores.current()

    @event
    @dataclass(frozen=True, slots=True)
    class Uploaded:
        """The payload, field by field."""

        number: int
        kind: str
        title: str

    @receiver(Uploaded, mode=DURABLE)
    def work(evt: Uploaded) -> None:
        """Do the job."""
        job(asdict(evt))
