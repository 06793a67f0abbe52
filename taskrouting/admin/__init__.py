"""What do operators see in Django's admin? Everything; and they change nothing by hand.

Every table is shown read-only. What may be done (redrive, discard, pause, stop) has a permission of
its own. No page counts rows or asks for DISTINCT values: these tables grow.
"""

from __future__ import annotations

from .audit import AuditLogAdmin
from .consuming import DeliveryAdmin
from .dashboard import DashboardAdmin
from .dead_letters import DeadLetterAdmin
from .event import EventAdmin
from .sweeps import SweepAdmin
from .topology import TopologyAdmin
from .transport import BindingAdmin, MessageAdmin
from .workers import WorkerProcessAdmin

__all__ = [
    "AuditLogAdmin",
    "BindingAdmin",
    "DashboardAdmin",
    "DeadLetterAdmin",
    "DeliveryAdmin",
    "EventAdmin",
    "MessageAdmin",
    "SweepAdmin",
    "TopologyAdmin",
    "WorkerProcessAdmin",
]
