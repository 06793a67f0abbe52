"""How is a run told to a person?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import av
from django.template.defaultfilters import filesizeformat

from project.media import probing, record
from taskrouting.models import AuditLog

from .findings import Findings

CODES = {"bold": "1", "soft": "2", "good": "32", "bad": "31", "key": "36", "busy": "33"}
TONES = {"handled": "good", "dead": "bad", "discarded": "soft"}
MARKS = {"handled": "✓", "dead": "✗", "discarded": "–"}


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours, where a person looks at a terminal and has not asked to do without."""

    enabled: bool

    @classmethod
    def on(cls, output: TextIO) -> Paint:
        """Decide by what ``output`` is, and by NO_COLOR."""
        return cls(output.isatty() and not os.environ.get("NO_COLOR"))

    def __call__(self, tone: str, text: str) -> str:
        """Give ``text`` the colour of ``tone``."""
        return f"\033[{CODES[tone]}m{text}\033[0m" if self.enabled else text


def events(findings: Findings, paint: Paint) -> Iterator[str]:
    """Each event: who published it, where it went, and what came of it there."""
    for entry in findings.story():
        event = entry.event
        yield ""
        yield f"  {paint('key', '●')} {paint('bold', event.routing_key)}   {_why(entry)}"
        yield paint(
            "soft", f"    {event.occurred_at:%H:%M:%S.%f}"[:-3] + f" UTC   id {event.event_id}"
        )
        for stop in entry.stops:
            last = stop is entry.stops[-1]
            yield from _stop(stop, event, "└" if last else "├", " " if last else "│", paint)


def _why(entry: record.Entry) -> str:
    """What led to an event."""
    if entry.cause is not None:
        return f"caused by {entry.cause.routing_key}"
    return f"published by {entry.event.actor}" if entry.event.actor else ""


def _stop(
    stop: record.Stop, event: AuditLog, branch: str, stem: str, paint: Paint
) -> Iterator[str]:
    """One queue that an event went to, and what came of it there."""
    yield f"    {branch}─ {stop.pattern} ──► {paint('bold', stop.queue)}"
    for outcome in stop.outcomes:
        tone, mark = TONES.get(outcome.state, "busy"), MARKS.get(outcome.state, "…")
        yield f"    {stem}     {paint(tone, mark)} {outcome.text}"


def files(findings: Findings, root: Path) -> Iterator[str]:
    """The files of a run: where, how large, and what is in them."""
    video = findings.video
    for name in (video.file.name, video.poster.name, video.rendition.name):
        if name and (root / name).is_file():
            yield f"  {name}"
            yield f"      {filesizeformat((root / name).stat().st_size)}, {_content(root / name)}"


def _content(path: Path) -> str:
    """What is in a file that was uploaded or made."""
    if path.suffix == ".jpg":
        with av.open(str(path)) as poster:
            codec = poster.streams.video[0].codec_context
            return f"{codec.width} × {codec.height}"
    try:
        facts = probing.probe(path)
    except probing.NotAVideo as error:
        return str(error)
    size = f"{facts.picture.width} × {facts.picture.height}"
    return f"{size}, {facts.codec}, {record.in_words(facts.duration)}"
