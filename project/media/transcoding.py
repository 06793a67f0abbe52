"""How is a video made fit for the page?

``poster`` takes one picture of it; ``rendition`` makes a small H.264 copy that
every browser plays. ``transcode`` does both. The work is libav's, through PyAV.

Every output is written beside its final name and renamed when it is whole, so
running twice leaves one good file, and a crash in the middle leaves none that a
page could show.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

import av
import av.filter

from . import probing

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Longest side of a poster, in pixels. Smaller videos keep their size.
POSTER_SIDE = 640

#: Highest rendition, in lines. Smaller videos keep their height.
RENDITION_HEIGHT = 480

#: Most pictures per second in a rendition.
RENDITION_RATE = 30

#: Where in the video the poster is taken, unless that is past its middle.
POSTER_AT = timedelta(seconds=1)

_MP4 = {"movflags": "+faststart"}
_H264 = {"preset": "veryfast", "crf": "25"}

#: The clock of a rendition's pictures: fine enough for any rate, steady or not.
_TICK = Fraction(1, 90_000)

#: How to turn a frame upright, by the degrees that it must turn counterclockwise.
_TURNS = {
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip", None), ("vflip", None)),
    270: (("transpose", "clock"),),
}


def transcode(source: Path, *, poster_to: Path, rendition_to: Path) -> probing.Facts:
    """Look into ``source``, write its poster (JPEG) and rendition (MP4), return the facts.

    Raises:
        probing.NotAVideo: nothing in the file can be shown; trying again is useless.
    """
    facts = probing.probe(source)
    poster(source, facts, poster_to)
    rendition(source, facts, rendition_to)
    if not facts.duration:  # what a browser records does not say how long it is; the copy does
        facts = replace(facts, duration=probing.probe(rendition_to).duration)
    return facts


def poster(source: Path, facts: probing.Facts, to: Path) -> None:
    """Write one picture of ``source`` as JPEG: a second in, or the middle if it is short."""
    at = min(POSTER_AT, facts.duration / 2)
    size = facts.picture.within(POSTER_SIDE, POSTER_SIDE)
    with probing.opened(source) as container, _whole(to) as unfinished:
        stream = probing.moving_picture(container)
        frame = _frame_at(container, stream, at)
        filters = _filters(stream, frame, size, "yuvj420p")
        filters.vpush(frame)
        filters.vpull().save(unfinished, qscale=3)


def rendition(source: Path, facts: probing.Facts, to: Path) -> None:
    """Write a copy of ``source`` that starts to play before it is loaded: MP4, H.264 and AAC."""
    size = facts.picture.within(float("inf"), RENDITION_HEIGHT)
    with (
        probing.opened(source) as container,
        _whole(to) as unfinished,
        av.open(str(unfinished), "w", format="mp4", options=_MP4) as target,
    ):
        _encode(container, target, size)


def _frame_at(container: InputContainer, stream: VideoStream, at: timedelta) -> VideoFrame:
    """The first picture at or after ``at``; the last one before it if there is none."""
    begin = (container.start_time or 0) / av.time_base
    latest = None
    for latest in probing.frames(container, stream):
        if latest.pts is not None and latest.time - begin >= at.total_seconds():
            break
    if latest is None:
        raise probing.NotAVideo(probing.DAMAGED)
    return latest


@contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes ``to`` only if the block ends well."""
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(dir=to.parent, prefix=".unfinished-", suffix=to.suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, to)
    finally:
        Path(name).unlink(missing_ok=True)


def _encode(source: InputContainer, target: OutputContainer, size: probing.Picture) -> None:
    """Copy pictures and sound from ``source`` to ``target``, interleaved as they are read."""
    pictures = probing.moving_picture(source)
    tracks: dict[int, _Pictures | _Sound] = {pictures.index: _Pictures(pictures, target, size)}
    if sound := probing.sound(source):
        tracks[sound.index] = _Sound(target)
    begin = (source.start_time or 0) / av.time_base
    for packet in source.demux(*(source.streams[index] for index in tracks)):
        for frame in probing.decoded(packet):
            tracks[packet.stream.index].add(_from(begin, frame))
    for track in tracks.values():
        track.end()


class _Pictures:
    """The H.264 stream of a rendition: upright, small, and not too many pictures a second."""

    def __init__(self, source: VideoStream, target: OutputContainer, size: probing.Picture) -> None:
        self._source = source
        self._target = target
        self._size = size
        self._stream = target.add_stream("libx264", rate=RENDITION_RATE, options=_H264)
        self._stream.width, self._stream.height = size.width, size.height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TICK
        self._filters: av.filter.Graph | None = None
        self._last: float | None = None

    def add(self, frame: VideoFrame) -> None:
        """Encode ``frame``, unless it comes too soon after the one before."""
        if self._is_too_soon(frame):
            return
        self._last = frame.time
        if self._filters is None:
            self._filters = _filters(self._source, frame, self._size, "yuv420p")
        self._filters.vpush(frame)
        small = self._filters.vpull()
        small.pict_type = 0
        self._target.mux(self._stream.encode(small))

    def end(self) -> None:
        """Write what the encoder still holds."""
        if self._last is None:
            raise probing.NotAVideo(probing.DAMAGED)
        self._target.mux(self._stream.encode(None))

    def _is_too_soon(self, frame: VideoFrame) -> bool:
        """Say whether to skip ``frame``: its time is unknown, goes back, or is too near."""
        if frame.pts is None:
            return True
        return self._last is not None and frame.time - self._last < 0.8 / RENDITION_RATE


class _Sound:
    """The AAC stream of a rendition: stereo, whatever came in."""

    def __init__(self, target: OutputContainer) -> None:
        self._target = target
        self._stream = target.add_stream("aac", rate=48_000, layout="stereo")

    def add(self, frame: AudioFrame) -> None:
        """Encode ``frame``."""
        self._target.mux(self._stream.encode(frame))

    def end(self) -> None:
        """Write what the encoder still holds."""
        self._target.mux(self._stream.encode(None))


def _filters(
    stream: VideoStream, first: VideoFrame, size: probing.Picture, colours: str
) -> av.filter.Graph:
    """The filters that turn a frame like ``first`` upright, and give it its size and colours."""
    graph = av.filter.Graph()
    turn = probing.turn_of(first)
    wide, high = (size.height, size.width) if turn % 180 else (size.width, size.height)
    nodes = [graph.add_buffer(template=stream), graph.add("scale", f"{wide}:{high}")]
    nodes += [graph.add(name, options) for name, options in _TURNS[turn]]
    nodes += [graph.add("setsar", "1"), graph.add("format", colours), graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    return graph


def _from(begin: float, frame: Any) -> Any:
    """Count the time of ``frame`` from ``begin`` (seconds), where the file starts to play."""
    if begin and frame.pts is not None:
        frame.pts -= round(begin / frame.time_base)
    return frame
