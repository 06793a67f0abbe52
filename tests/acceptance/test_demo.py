"""Does ``make demo`` tell the truth, on each broker and database, and when something is wrong?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import uuid
from pathlib import Path

import kombu
import pytest

from tests import example, services
from tests.waiting import wait_until

GOOD = "✓ Poster and rendition are there, the upload was handled once"


def demo(
    folder: Path, video: Path = example.SAMPLE, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run the demo in ``folder``."""
    return example.manage(
        "demo", "--video", str(video), "--into", str(folder), env=example.environment(**changes)
    )


def assert_the_story_is_told(said: str, broker: str) -> None:
    """Every event is there with its route, its deliveries and its audit row, and the files."""
    assert f"with {broker}" in said
    assert [re.sub(r"\s+published.*|\s+caused.*", "", line) for line in lines(said, "●")] == [
        "● user.login",
        "● video.upload",
        "● video.ready",
    ]
    assert lines(said, "├") == ["├─ video.# ──► video_queue"] * 2
    assert lines(said, "└") == ["└─ # ──► audit_queue"] * 3
    assert re.search(r"✓ transcode: handled in [\d.]+ m?s, 1 attempt", said)
    assert len(re.findall(r"✓ remember: handled", said)) == 2
    assert len(re.findall(r"recorded as audit log entry \d+", said)) == 3
    assert "● video.ready   caused by video.upload" in said
    assert re.search(r"posters/[0-9a-f-]+\.jpg\n.*KB, 640 × 360", said)
    assert re.search(r"renditions/[0-9a-f-]+\.mp4\n.*KB, 854 × 480, h264, 5\.\d+ s", said)
    assert "make serve" in said
    assert "/admin/" in said
    assert GOOD in said


def lines(said: str, mark: str) -> list[str]:
    """The lines that begin with ``mark``."""
    return [line.strip() for line in said.splitlines() if line.strip().startswith(mark)]


def test_the_demo_needs_nothing_but_python(tmp_path: Path) -> None:
    """On the embedded broker and SQLite the whole journey works and is told, without colours."""
    done = demo(tmp_path / "run")
    assert done.returncode == 0, done.stdout
    assert_the_story_is_told(done.stdout, "django:// on SQLite")
    assert "\033" not in done.stdout


@pytest.mark.services
def test_the_demo_on_rabbitmq(tmp_path: Path, empty_rabbitmq_url: str) -> None:
    """The same on RabbitMQ, and again with what an earlier run may leave on its queues."""
    for run in ("first", "second"):
        done = demo(tmp_path / run, BROKER_URL=empty_rabbitmq_url)
        assert done.returncode == 0, done.stdout
        assert_the_story_is_told(done.stdout, "amqp://127.0.0.1 on SQLite")
        leave_behind(empty_rabbitmq_url)


def leave_behind(broker_url: str) -> None:
    """Put an event of a run that is over on the queues: its video is in no database any more."""
    gone = {"video": str(uuid.uuid4()), "title": "Gone", "file": "gone.mp4"}
    with kombu.Connection(broker_url) as connection:
        producer = connection.Producer(
            exchange=kombu.Exchange("media_exchange", "topic", durable=True)
        )
        producer.publish(gone, routing_key="video.upload", serializer="json")


@pytest.mark.services
def test_the_demo_on_redis(tmp_path: Path, empty_redis_url: str) -> None:
    """The same on Redis."""
    done = demo(tmp_path / "run", BROKER_URL=empty_redis_url)
    assert done.returncode == 0, done.stdout
    assert_the_story_is_told(done.stdout, "redis://127.0.0.1 on SQLite")


@pytest.mark.services
def test_the_demo_on_postgresql(tmp_path: Path) -> None:
    """The same with the embedded broker in PostgreSQL, and twice in one database."""
    with services.postgres_database() as url:  # the site's tables would be in others' way
        for run in ("first", "second"):
            done = demo(tmp_path / run, DATABASE_URL=url)
            assert done.returncode == 0, done.stdout
            assert_the_story_is_told(done.stdout, "django:// on PostgreSQL")


def test_a_file_that_is_no_video_makes_the_demo_fail_with_the_reason(tmp_path: Path) -> None:
    """It says why, tells the story up to there, and exits with 1."""
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear diary,\n" * 100)
    done = demo(tmp_path / "run", letter)
    assert done.returncode == 1, done.stdout
    assert "✗ The video cannot be shown: This file is not a video" in done.stdout
    assert "✗ There is no rendition." in done.stdout
    assert "● video.failed   caused by video.upload" in done.stdout
    assert "✗ transcode: dead" in done.stdout
    assert GOOD not in done.stdout


def test_a_file_that_the_site_refuses_makes_the_demo_fail_with_the_reason(tmp_path: Path) -> None:
    """What the form says is passed on."""
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear diary")
    done = demo(tmp_path / "run", letter)
    assert done.returncode == 1, done.stdout
    assert "The site did not take letter.txt" in done.stdout
    assert "not allowed" in done.stdout


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], ["manage.py", "demo"]),
        (["VIDEO=my video's.mp4"], ["manage.py", "demo", "--video", "my video's.mp4"]),
    ],
)
def test_make_passes_on_any_name_of_a_file(
    tmp_path: Path, said: list[str], expected: list[str]
) -> None:
    """Spaces, quotes: what is typed behind VIDEO= is one argument."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    makefile = str(example.ROOT / "Makefile")
    done = subprocess.run(
        ["make", "-s", "-f", makefile, "-o", ".venv/installed", "demo", *said],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--video", "nowhere.mp4"], "there is no file"), (["--into", "."], "is not empty")],
)
def test_what_is_asked_for_wrongly_is_said_before_anything_starts(
    arguments: list[str], reason: str
) -> None:
    """A file that is not there, or a folder with somebody's things in it."""
    done = example.manage("demo", *arguments, env=example.environment())
    assert done.returncode != 0
    assert reason in done.stdout
    assert "The journey" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_told_to_stop_leaves_nothing_running(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end its web server too, and its worker in order."""
    with example.running("demo", "--into", str(tmp_path / "run"), log=tmp_path / "log") as demo:
        origin = demo.wait_for(r"logs in at (http://\S+)")
        worker = tmp_path / "run" / "worker.log"
        wait_until(lambda: "consumes" in worker.read_text(), timeout=30, message="its worker")
        demo.process.send_signal(number)
        assert demo.process.wait(60) != 0
    assert not example.answers(origin)
    assert re.search(r"Worker \S+ stopped", worker.read_text())
