"""Who is told, in which words? A function of the project's, or people by mail."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.mail import send_mail
from django.utils.module_loading import import_string

from taskrouting import conf

from .measuring import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What somebody is told: a limit is passed, or that is over."""

    #: Which key of ``ALERTS``: ``outbox_age``, ``failure_rate``, ``dead_letters`` or
    #: ``silent_queue``.
    kind: str

    #: Where: a database's alias or a queue; empty for the whole installation.
    subject: str

    #: What was measured, and the limit; durations in seconds.
    value: float
    threshold: float

    #: The limit is not passed any more.
    over: bool

    #: All of that for people to read.
    sentence: str


def alert_of(measure: Measure, *, over: bool) -> Alert:
    """Put a measure into words."""
    return Alert(
        kind=measure.kind,
        subject=measure.subject,
        value=measure.value,
        threshold=measure.threshold,
        over=over,
        sentence=f"{'Over: ' if over else ''}{_sentence(measure)}",
    )


def tell(alert: Alert) -> None:
    """Tell whoever the settings name; raises what comes of it."""
    to = conf.current().alerts.to
    if isinstance(to, str):
        import_string(to)(alert)
    else:
        state = "over" if alert.over else "alert"
        about = " ".join(filter(None, [alert.kind, alert.subject]))
        title = f"[{conf.current().source}] {state}: {about}"
        send_mail(title, f"{alert.sentence}\n", from_email=None, recipient_list=list(to))


def _sentence(measure: Measure) -> str:
    value, limit = measure.value, measure.threshold
    match measure.kind:
        case "outbox_age":
            return (
                f"The oldest event that is due in the outbox of database {measure.subject!r} has "
                f"waited for {value:.0f} s; the limit is {limit:.0f} s."
            )
        case "failure_rate":
            return (
                f"{value:.0%} of the latest deliveries have failed attempts; the limit is "
                f"{limit:.0%}."
            )
        case "dead_letters":
            more = " or more" if value >= limit else ""
            return f"{value:.0f}{more} dead letters are open; the limit is {limit:.0f}."
        case _:
            return (
                f"Nothing has come to queue {measure.subject!r} for {value:.0f} s; the limit is "
                f"{limit:.0f} s."
            )
