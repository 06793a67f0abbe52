"""Does a video become a poster and a rendition, and is everything else turned away?"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import av
import pytest

from project.media import probing, transcoding

SAMPLE = Path(transcoding.__file__).parent / "samples" / "big_buck_bunny_720p_5s.mp4"

#: The matrices with which MP4 says how a picture is shown: as it is, or turned clockwise.
UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
TURNED = {
    90: struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30),
    180: struct.pack(">9i", -1 << 16, 0, 0, 0, -1 << 16, 0, 0, 0, 1 << 30),
    270: struct.pack(">9i", 0, -1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30),
}


def draw(
    path: Path,
    *,
    width: int = 160,
    height: int = 120,
    rate: int = 25,
    count: int = 25,
    codec: str = "mpeg4",
    when: Callable[[int], int] = lambda number: number,
    colour: Callable[[int], int] = lambda number: 128,
    sound: str = "",
    stretch: Fraction = Fraction(1),
) -> Path:
    """Write a video of ``count`` pictures, each of one grey, and as long a silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = stretch
        audio = container.add_stream(sound, rate=44_100, layout="mono") if sound else None
        for number in range(count):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, (colour(number), 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = when(number), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            silence(container, audio)
    return path


def silence(container: av.container.OutputContainer, stream: av.AudioStream) -> None:
    """Write a second of silence."""
    for number in range(43):
        frame = av.AudioFrame("s16", "mono", 1024)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 44_100, number * 1024, Fraction(1, 44_100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def transcode(source: Path, folder: Path) -> tuple[probing.Facts, Path, Path]:
    """Transcode ``source`` into ``folder``; return the facts, the poster and the rendition."""
    poster, rendition = folder / "posters" / "p.jpg", folder / "renditions" / "r.mp4"
    facts = transcoding.transcode(source, poster_to=poster, rendition_to=rendition)
    return facts, poster, rendition


def picture(path: Path, number: int = 0) -> av.VideoFrame:
    """One picture of a file."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return frame.reformat(format="rgb24")
    raise AssertionError(f"{path} has no picture {number}")


def brightness(path: Path, left: float, top: float, number: int = 0) -> int:
    """How bright a picture is at a point, given as shares of its width and height."""
    frame = picture(path, number)
    plane = frame.planes[0]
    x, y = int(left * frame.width), int(top * frame.height)
    return bytes(plane)[y * plane.line_size + 3 * x]


def test_the_sample_becomes_a_poster_and_a_rendition(tmp_path: Path) -> None:
    """What was found out is true, and what was made is of the size, codecs and length promised."""
    facts, poster, rendition = transcode(SAMPLE, tmp_path)
    assert facts.picture == probing.Picture(width=1280, height=720)
    assert (facts.codec, facts.has_sound) == ("h264", True)
    assert timedelta(seconds=5.2) < facts.duration < timedelta(seconds=5.4)
    assert poster.read_bytes()[:3] == b"\xff\xd8\xff"
    assert (picture(poster).width, picture(poster).height) == (640, 360)
    with av.open(str(rendition)) as made:
        video, audio = made.streams.video[0], made.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 854, 480)
        assert (video.codec_context.pix_fmt, audio.codec_context.name) == ("yuv420p", "aac")
        assert made.duration == pytest.approx(facts.duration / timedelta(microseconds=1), rel=0.02)


def test_a_rendition_starts_to_play_before_it_is_loaded(tmp_path: Path) -> None:
    """The index of the MP4 file comes before its pictures."""
    _, _, rendition = transcode(draw(tmp_path / "v.mp4"), tmp_path)
    content = rendition.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_doing_it_twice_leaves_one_of_each(tmp_path: Path) -> None:
    """The second run replaces what the first one made, and leaves nothing unfinished."""
    source = draw(tmp_path / "v.mp4")
    transcode(source, tmp_path / "made")
    transcode(source, tmp_path / "made")
    names = sorted(path.name for path in (tmp_path / "made").rglob("*") if path.is_file())
    assert names == ["p.jpg", "r.mp4"]


def test_a_small_video_with_odd_sides_is_not_enlarged(tmp_path: Path) -> None:
    """H.264 wants even sides; the nearest ones are taken, and no picture is blown up."""
    facts, poster, rendition = transcode(
        draw(tmp_path / "v.avi", width=321, height=243, codec="mpeg4"), tmp_path
    )
    assert facts.picture == probing.Picture(width=321, height=243)
    assert (picture(rendition).width, picture(rendition).height) == (320, 244)
    assert picture(poster).width == 320


def test_stretched_pixels_become_square(tmp_path: Path) -> None:
    """A video whose pixels are twice as wide as high is shown at the width it means."""
    facts, _, rendition = transcode(draw(tmp_path / "v.mp4", stretch=Fraction(2, 1)), tmp_path)
    assert facts.picture == probing.Picture(width=320, height=120)
    assert (picture(rendition).width, picture(rendition).height) == (320, 120)


@pytest.mark.parametrize(
    ("degrees", "left", "top"), [(90, 0.75, 0.1), (180, 0.9, 0.75), (270, 0.25, 0.9)]
)
def test_a_video_filmed_sideways_is_turned_upright(
    degrees: int, left: float, top: float, tmp_path: Path
) -> None:
    """A bright corner ends where the file says that it is shown, in poster and rendition."""
    plain = corner(tmp_path / "plain.mp4")
    content = plain.read_bytes()
    track = content.index(UPRIGHT, content.index(b"tkhd"))
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content[:track] + TURNED[degrees] + content[track + len(UPRIGHT) :])
    facts, poster, rendition = transcode(turned, tmp_path)
    assert (facts.picture.width > facts.picture.height) == (degrees == 180)
    for made in (poster, rendition):
        assert brightness(made, left, top) > 200
        assert brightness(made, 1 - left, 1 - top) < 60


def corner(path: Path) -> Path:
    """Write a dark video whose left tenth is bright in its upper half."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame(320, 160, "yuv420p")
            wide = frame.planes[0].line_size
            bright = bytes([235]) * 64 + bytes([16]) * (wide - 64)
            frame.planes[0].update(bright * 80 + bytes([16]) * wide * 80)
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_the_poster_is_taken_a_second_in(tmp_path: Path) -> None:
    """A video that begins in the dark has a bright poster when it is bright by then."""
    source = draw(tmp_path / "v.mp4", count=75, colour=lambda number: 16 if number < 25 else 235)
    _, poster, _ = transcode(source, tmp_path)
    assert brightness(poster, 0.5, 0.5) > 200


def test_the_poster_of_a_short_video_is_its_middle(tmp_path: Path) -> None:
    """A video of less than two seconds still has one."""
    source = draw(tmp_path / "v.mp4", count=10, colour=lambda number: 16 if number < 5 else 235)
    _, poster, _ = transcode(source, tmp_path)
    assert brightness(poster, 0.5, 0.5) > 200


def test_more_pictures_than_needed_are_left_out(tmp_path: Path) -> None:
    """A rendition has about thirty pictures a second and lasts as long as the video."""
    facts, _, rendition = transcode(draw(tmp_path / "v.mp4", rate=60, count=120), tmp_path)
    with av.open(str(rendition)) as made:
        assert 55 <= made.streams.video[0].frames <= 65
    assert probing.probe(rendition).duration == pytest.approx(
        facts.duration, abs=timedelta(seconds=0.1)
    )


def test_a_gap_of_hours_costs_no_pictures(tmp_path: Path) -> None:
    """A clock that jumps, as a broken or a hostile file's may, is not filled with pictures."""
    source = draw(tmp_path / "v.mkv", count=20, when=lambda n: n if n < 10 else n + 25 * 3600)
    _, _, rendition = transcode(source, tmp_path)
    with av.open(str(rendition)) as made:
        assert made.streams.video[0].frames == 20


def test_a_stream_that_begins_late_begins_at_zero_when_made(tmp_path: Path) -> None:
    """Broadcast streams count their time from anywhere; what was made counts from its start."""
    source = draw(tmp_path / "v.ts", codec="mpeg2video", sound="mp2")
    facts, _, rendition = transcode(source, tmp_path)
    assert facts.has_sound
    with av.open(str(rendition)) as made:
        assert abs(made.start_time or 0) < 100_000
        assert 0.9 < (made.duration or 0) / av.time_base < 1.3


def test_a_video_that_does_not_say_how_long_it_is_gets_its_length_from_the_copy(
    tmp_path: Path,
) -> None:
    """What a browser records has no length in it."""
    source = tmp_path / "live.mkv"
    with av.open(str(source), "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame(160, 120, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probing.probe(source).duration == timedelta(0)
    facts, _, _ = transcode(source, tmp_path)
    assert facts.duration == pytest.approx(timedelta(seconds=2), abs=timedelta(seconds=0.1))


def test_a_video_with_damage_in_it_is_shown_without_the_damaged_parts(tmp_path: Path) -> None:
    """As in every player."""
    content = bytearray(SAMPLE.read_bytes())
    for start in range(200_000, 600_000, 5_000):
        content[start : start + 200] = bytes(200)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    facts, poster, rendition = transcode(damaged, tmp_path)
    assert facts.picture.height == 720
    assert poster.exists()
    assert rendition.exists()


NO_VIDEO = "not a video"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", NO_VIDEO, id="empty"),
        pytest.param(b"Dear diary,\n" * 500, NO_VIDEO, id="text"),
        pytest.param(SAMPLE.read_bytes()[:400_000], NO_VIDEO, id="cut off before its index"),
        pytest.param(PLAYLIST.format(SAMPLE).encode(), NO_VIDEO, id="playlist"),
        pytest.param(f"ffconcat version 1.0\nfile {SAMPLE}\n".encode(), NO_VIDEO, id="concat"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(2000), NO_VIDEO, id="picture"),
    ],
)
def test_a_file_that_is_no_video_is_turned_away(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """The reason is for the person who sent it, nothing was made, and no other file was read."""
    source = tmp_path / "v.mp4"
    source.write_bytes(content)
    with pytest.raises(probing.NotAVideo, match=reason):
        transcode(source, tmp_path / "made")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != source]


def test_a_file_with_sound_only_says_so(tmp_path: Path) -> None:
    """Music is not a video, although libav opens it."""
    source = tmp_path / "v.mp4"
    with av.open(str(source), "w") as container:
        silence(container, container.add_stream("aac", rate=44_100, layout="mono"))
    with pytest.raises(probing.NotAVideo, match="sound only"):
        transcode(source, tmp_path)


def test_a_missing_file_is_no_verdict_on_it(tmp_path: Path) -> None:
    """A disk that is away is worth another try, so it is another error."""
    with pytest.raises(FileNotFoundError):
        transcode(tmp_path / "nowhere.mp4", tmp_path)
