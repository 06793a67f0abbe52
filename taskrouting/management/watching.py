"""Which options let others watch a worker? The same for every command that runs processes."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from taskrouting.consuming.companion import Companion
from taskrouting.consuming.supervisor import Supervisor
from taskrouting.management.composition import Plan
from taskrouting.monitoring.port import Watch

HIGHEST_PORT = 65535


def add_options(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--health-port", type=port, metavar="PORT", help="Answer /health/live and /health/ready."
    )
    parser.add_argument(
        "--metrics-port", type=port, metavar="PORT", help="Answer /metrics, for Prometheus."
    )
    parser.add_argument(
        "--health-host",
        default="",
        metavar="HOST",
        help="Listen on this address only (all: a probe comes from outside the container).",
    )
    parser.add_argument(
        "--health-file",
        type=Path,
        metavar="PATH",
        help="Touch this file whenever every process has gone on.",
    )


def opened(options: Mapping[str, Any]) -> Watch:
    """Return what is to be watched, its ports open.

    Raises ConfigurationError for a port that cannot be opened.
    """
    watch = Watch(
        host=options["health_host"],
        health_port=options["health_port"],
        metrics_port=options["metrics_port"],
        health_file=options["health_file"],
    )
    return watch.opened() if watch.wanted else watch


def supervise(plan: Plan, watch: Watch, *, grace: timedelta, processes: int = 1) -> None:
    """Run the plan in so many processes, and beside them what is watched; exit if not with 0."""
    companion, work = None, partial(plan.run, counting=watch.metrics_port is not None)
    if watch.wanted:
        listeners = list(watch.listeners.values())
        companion = Companion(watch.keep, processes=processes, listeners=listeners)
    supervisor = Supervisor(
        work, processes=processes, grace=grace, burst=plan.burst, companion=companion
    )
    if code := supervisor.run():
        raise SystemExit(code)


def port(text: str) -> int:
    """Read the number of a port."""
    if not 1 <= (number := int(text)) <= HIGHEST_PORT:
        raise ValueError(text)
    return number
