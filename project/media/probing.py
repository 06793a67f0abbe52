"""What is in this video file, and how is it read?

Files come from strangers. Only the container formats named here are tried:
libav would also read playlists, which name other files and addresses to fetch,
and would draw any text file as a picture of a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.stream import Disposition

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_READABLE = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf"
_READ_OPTIONS = {"format_whitelist": _READABLE, "protocol_whitelist": "file"}

#: What to tell a person whose file has a video stream without a picture in it.
DAMAGED = "No picture in this video can be read: the file is damaged."


class NotAVideo(ValueError):
    """The file cannot be shown as a video; the text says why, for the person who sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The size a video is shown at: upright, with square pixels."""

    width: int
    height: int

    def within(self, width: float, height: float) -> Picture:
        """This picture, shrunk to fit, in the even numbers that H.264 needs."""
        scale = min(1.0, width / self.width, height / self.height)
        return Picture(width=_even(self.width * scale), height=_even(self.height * scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a probe found out about a video file."""

    duration: timedelta
    picture: Picture
    codec: str
    has_sound: bool


def probe(source: Path) -> Facts:
    """Find out what ``source`` is, by reading its first picture.

    Raises:
        NotAVideo: it is no video, or not one that can be read.
    """
    with opened(source) as container:
        stream = moving_picture(container)
        first = next(frames(container, stream), None)
        if first is None:
            raise NotAVideo(DAMAGED)
        return Facts(
            duration=_duration(container, stream),
            picture=_shown(stream, first),
            codec=stream.codec_context.name,
            has_sound=sound(container) is not None,
        )


@contextmanager
def opened(source: Path) -> Iterator[InputContainer]:
    """Open ``source`` for reading, saying in plain words when libav cannot."""
    try:
        container = av.open(str(source), options=_READ_OPTIONS)
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError) as error:
        raise NotAVideo("This file is not a video, or a kind that we cannot read.") from error
    with container:
        yield container


def moving_picture(container: InputContainer) -> VideoStream:
    """The stream of pictures to show; the cover of a music file is not one."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    if container.streams.audio:
        raise NotAVideo("This file has sound only, and no picture.")
    raise NotAVideo("There is no video in this file.")


def sound(container: InputContainer) -> AudioStream | None:
    """The first stream of sound that can be decoded, if there is one."""
    readable = (each for each in container.streams.audio if each.codec_context is not None)
    return next(readable, None)


def frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The pictures of ``stream`` from where ``container`` stands, in the order they are shown."""
    for packet in container.demux(stream):
        yield from decoded(packet)


def decoded(packet: Packet[Any]) -> list[Any]:
    """The frames of one packet; a damaged packet has none, as in every player."""
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []


def turn_of(frame: VideoFrame) -> int:
    """How far ``frame`` must turn to be upright: 0, 90, 180 or 270 degrees counterclockwise."""
    return round(frame.rotation / 90) * 90 % 360


def _duration(container: InputContainer, stream: VideoStream) -> timedelta:
    if container.duration is not None:
        return timedelta(microseconds=container.duration)
    if stream.duration is not None and stream.time_base is not None:
        return timedelta(seconds=float(stream.duration * stream.time_base))
    return timedelta(0)


def _shown(stream: VideoStream, frame: VideoFrame) -> Picture:
    """How large the first frame is on screen, once it is upright and its pixels are square."""
    stretch = float(stream.sample_aspect_ratio or 1)
    width, height = round(frame.width * stretch), frame.height
    if turn_of(frame) % 180:
        width, height = height, width
    return Picture(width=width, height=height)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)
