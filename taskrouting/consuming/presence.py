"""Which worker processes are alive? Each says so, in a row of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from django.db.models.functions import Now
from django.utils import timezone

from taskrouting import __version__, conf

from .models import WorkerProcess

#: Rows of workers that have not been heard of for this long were left by processes that died.
FORGOTTEN = timedelta(days=1)


class Presence:
    """One worker process, as the others see it."""

    def __init__(self, queues: Sequence[str], threads: int) -> None:
        self._host = socket.gethostname()
        self.name = f"{self._host}:{os.getpid()}:{uuid4().hex[:6]}"[-255:]
        self._queues = list(queues)
        self._threads = threads

    def beat(self) -> None:
        """Say that this process is alive; forget those that died long ago."""
        workers = WorkerProcess.objects.using(conf.current().database)
        known = workers.filter(name=self.name).update(seen_at=Now())
        if not known:
            workers.create(
                name=self.name,
                host=self._host[:255],
                pid=os.getpid(),
                version=__version__,
                queues=self._queues,
                threads=self._threads,
            )
            workers.filter(seen_at__lt=timezone.now() - FORGOTTEN).delete()

    def leave(self) -> None:
        """Say goodbye."""
        WorkerProcess.objects.using(conf.current().database).filter(name=self.name).delete()
