"""What does Django need to know about the depot?"""

from __future__ import annotations

import importlib
import json
import os
from datetime import timedelta

from django.apps import AppConfig


class DepotConfig(AppConfig):
    """The app whose subscribers run in worker subprocesses."""

    name = "tests.depot"

    def ready(self) -> None:
        """Be in the hurry that a test is in: ``DEPOT_HURRY`` names constants and their values.

        ``DEPOT_SPANS`` names a file for the spans that are finished.
        """
        if file := os.environ.get("DEPOT_SPANS"):
            write_spans_to(file)
        for constant, value in json.loads(os.environ.get("DEPOT_HURRY", "{}")).items():
            module, _, name = constant.rpartition(".")
            home = importlib.import_module(module)
            known = getattr(home, name)
            setattr(home, name, timedelta(seconds=value) if isinstance(known, timedelta) else value)


def write_spans_to(file: str) -> None:
    """Let OpenTelemetry append every span that is finished to a file, as a line of JSON."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    exporter = ConsoleSpanExporter(
        out=open(file, "a", buffering=1),  # noqa: SIM115  # for as long as the process lives
        formatter=lambda span: span.to_json(indent=None) + "\n",
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
