"""How do the figures look to Prometheus? Written by its own client library, if that is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from taskrouting.consuming.seats import Seat
from taskrouting.exceptions import ConfigurationError
from taskrouting.instruments.metrics import BOUNDS, COUNTED, Metric

from . import figures
from .figures import GAUGES, Sample

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

Series = tuple[str, ...]

#: What a worker's port says of its own processes.
PROCESSES = {
    "taskrouting_processes": Metric("gauge", "Worker processes that this port answers for."),
    "taskrouting_processes_live": Metric("gauge", "Those of them that go on."),
}

METRICS: Mapping[str, Metric] = {**COUNTED, **GAUGES, **PROCESSES}


def require_client() -> None:
    """Raise ConfigurationError where the client library is missing."""
    try:
        import prometheus_client  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise ConfigurationError(
            "Metrics need the package prometheus-client: pip install 'django-taskrouting[metrics]'."
        ) from error


def names() -> set[str]:
    """Every name that a query may use."""
    endings = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_count", "_sum"),
    }
    return {f"{name}{end}" for name, metric in METRICS.items() for end in endings[metric.kind]}


def text(
    samples: Iterable[Sample], seats: Sequence[Seat] | None = None, accept: str = ""
) -> tuple[bytes, str]:
    """Write gauges, and what is counted on ``seats``; return the text and its content type.

    Without ``seats`` nobody counts here, and there is no word of what is counted: a 0 would be a
    lie. ``accept`` is the header of the request: Prometheus asks for OpenMetrics with it.
    """
    require_client()
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector, CollectorRegistry

    class Figures(Collector):
        def collect(self) -> Iterator[Family]:
            yield from _gauges(samples)
            if seats is not None:
                yield from _counted([seat.read().get("counts", {}) for seat in seats])

    registry = CollectorRegistry()
    registry.register(Figures())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def of_seats(seats: Sequence[Seat], live: int, accept: str = "") -> tuple[bytes, str]:
    """Write everything that a worker's port knows; ``live`` of its processes go on."""
    here: list[Sample] = [
        ("taskrouting_processes", (), float(len(seats))),
        ("taskrouting_processes_live", (), float(live)),
    ]
    return text([*figures.samples(), *here], seats, accept)


def _gauges(samples: Iterable[Sample]) -> Iterator[Family]:
    from prometheus_client.core import GaugeMetricFamily

    families: dict[str, Any] = {}
    for name, labels, value in samples:
        metric = METRICS[name]
        if name not in families:
            families[name] = GaugeMetricFamily(name, metric.meaning, labels=metric.labels)
        families[name].add_metric(labels, value)
    yield from families.values()


def _counted(told: Sequence[Mapping[str, Any]]) -> Iterator[Family]:
    """Add up what the processes have counted."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    counters, gauges = _sums(told, "counters"), _sums(told, "gauges")
    histograms = _histograms(told)
    yield from _gauges((series[0], series[1:], value) for series, value in gauges.items())
    for name, metric in COUNTED.items():
        if metric.kind == "counter":
            counter = CounterMetricFamily(name, metric.meaning, labels=metric.labels)
            if not metric.labels:
                counters[name,] += 0  # nothing yet is a figure too
            for series in sorted(each for each in counters if each[0] == name):
                counter.add_metric(series[1:], counters[series])
            yield counter
        elif metric.kind == "histogram":
            histogram = HistogramMetricFamily(name, metric.meaning, labels=metric.labels)
            for series in sorted(each for each in histograms if each[0] == name):
                *buckets, total = histograms[series]
                histogram.add_metric(series[1:], _cumulative(buckets), total)
            yield histogram


def _sums(told: Sequence[Mapping[str, Any]], kind: str) -> Counter[Series]:
    sums: Counter[Series] = Counter()
    for counts in told:
        for series, value in counts.get(kind, []):
            sums[tuple(series)] += value
    return sums


def _histograms(told: Sequence[Mapping[str, Any]]) -> dict[Series, list[float]]:
    sums: dict[Series, list[float]] = {}
    for counts in told:
        for series, values in counts.get("histograms", []):
            before = sums.get(tuple(series), [0.0] * len(values))
            sums[tuple(series)] = [one + other for one, other in zip(before, values, strict=True)]
    return sums


def _cumulative(buckets: Sequence[float]) -> list[tuple[str, float]]:
    bounds = [*(str(float(bound)) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(buckets), strict=True))
