"""What has a relay claimed? The rows of this pass, and those of the next while the broker works."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError

from taskrouting.transport import store
from taskrouting.transport.messages import OUTBOX
from taskrouting.transport.store import Claimed

#: Rows claimed and sent together.
BATCH = 500

#: How long the claim on a batch holds: longer than the longest wait for confirms.
CLAIM = timedelta(seconds=30)


class Claims:
    """The claims of one relay on the rows of one database."""

    def __init__(self, using: str) -> None:
        self._using = using
        #: What is claimed already for the next pass, and until when that is good.
        self.ahead: list[Claimed] = []
        self._ahead_until = 0.0
        #: Each claim of this pass, by its queue: its answer may have been lost.
        self._made: list[tuple[str, UUID]] = []

    def begin(self) -> None:
        """Begin a pass: what the last one has claimed is settled."""
        ahead = {row.claim for row in self.ahead}
        self._made = [claim for claim in self._made if claim[1] in ahead]

    def of(self, queue: str) -> list[Claimed]:
        """Claim what is due in ``queue``, a batch at most."""
        mine = uuid4()
        self._made.append((queue, mine))
        return store.claim(queue, BATCH, CLAIM, using=self._using, mine=mine)

    def outbox(self) -> list[Claimed]:
        """Return what is claimed already, or is now."""
        if self.ahead and time.monotonic() < self._ahead_until:
            ahead, self.ahead = self.ahead, []
            return ahead
        self.let_go()
        return self.of(OUTBOX)

    def look_ahead(self) -> None:
        """Claim what comes next; a fault shows in what is done next."""
        with suppress(DatabaseError, InterfaceError):
            self.ahead = self.of(OUTBOX)
            self._ahead_until = time.monotonic() + CLAIM.total_seconds() / 3

    def let_go(self) -> None:
        """Give back what was claimed ahead."""
        store.release(self.ahead, using=self._using, seen=False)
        self.ahead = []

    def abandon(self) -> None:
        """Give everything back, after the database was away."""
        self.let_go()
        for claim in self._made:
            store.abandon(*claim, using=self._using)
        self._made.clear()
