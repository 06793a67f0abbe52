"""What do operators see in Django's admin? Everything; and they change nothing by hand.

Every table is shown read-only. What may be done, redrive and discard, is an action with a
permission of its own. No page counts rows or asks for DISTINCT values: these tables grow.
"""

from __future__ import annotations

from .audit import AuditLogAdmin
from .consuming import DeliveryAdmin, WorkerProcessAdmin
from .dead_letters import DeadLetterAdmin
from .transport import BindingAdmin, MessageAdmin

__all__ = [
    "AuditLogAdmin",
    "BindingAdmin",
    "DeadLetterAdmin",
    "DeliveryAdmin",
    "MessageAdmin",
    "WorkerProcessAdmin",
]
