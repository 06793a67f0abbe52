"""Which tables are there, and who owns each? Re-exported here, where Django looks for them."""

from __future__ import annotations

from taskrouting.audit.models import AuditLog
from taskrouting.consuming.models import Delivery, WorkerProcess
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.transport.models import Binding, Message

__all__ = ["AuditLog", "Binding", "DeadLetter", "Delivery", "Message", "WorkerProcess"]
