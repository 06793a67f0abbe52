"""How does a value look on a page of the admin?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings

from taskrouting import masking
from taskrouting.admin import shown


def test_json_is_indented_and_in_its_own_letters():
    """A person reads it: one value to a line, and no escapes for what is text."""
    html = shown.json_block({"title": "Häschen", "tags": [1]}, "data")

    assert '<pre tabindex="0">{\n  &quot;title&quot;: &quot;Häschen&quot;,\n' in html
    assert "<details" in html
    assert "6 lines" in html


def test_long_values_are_folded_and_longer_ones_cut():
    """A page stays a page, and says what it does not show."""
    short = shown.json_block([1], "data")
    long = shown.json_block(list(range(100)), "data")
    longer = shown.text_block("x" * (shown.LONGEST_TEXT + 7), "text")

    assert " open>" in short
    assert " open>" not in long
    assert "7 more characters" in longer
    assert longer.count("x") < shown.LONGEST_TEXT + 20


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_where_there_is_nothing_there_is_a_dash(nothing):
    """An empty value takes no room."""
    assert shown.json_block(nothing, "data") == shown.NOTHING


def test_sensitive_values_are_hidden_at_every_depth():
    """Whatever stands under a sensitive name is hidden, whole, however it is written."""
    value = {
        "password": "geheim",
        "Password": {"old": "geheim", "new": "geheim"},
        "users": [{"name": "ana", "password": ["geheim"]}],
        "passwords": "kept",
    }

    hidden = masking.hidden(value)

    assert "geheim" not in json.dumps(hidden)
    assert hidden["users"][0]["name"] == "ana"
    assert hidden["passwords"] == "kept"
    assert value["password"] == "geheim"


def test_the_settings_say_what_is_sensitive():
    """``SENSITIVE`` is the one list of names."""
    with override_settings(TASKROUTING={"SENSITIVE": ["pin"]}):
        assert masking.hidden({"pin": 1, "password": 2}) == {"pin": masking.HIDDEN, "password": 2}
    with override_settings(TASKROUTING={"SENSITIVE": []}):
        assert "geheim" in shown.body(b'{"password": "geheim", broken')


@pytest.mark.parametrize(
    "body",
    [
        b'{"password": "geheim", "title": "Bunny"}',
        b'{"data": {"password": "geheim"}, "title": "Bunny"}',
        b'{"title": "Bunny", "password": "geheim", broken',
        b'{"title": "Bunny", "password": "ge\\"heim',
        b'{"title": "Bunny", "PASSWORD" : 12345678}',
        b'{"title": "Bunny", "PASSWORD" : 12345678',
    ],
)
def test_a_body_hides_what_is_sensitive_even_when_it_is_broken(body):
    """Bytes that are nearly JSON are what one looks at most, and hold the same secrets."""
    html = shown.body(body)

    assert "Bunny" in html
    assert "heim" not in html
    assert "12345678" not in html


def test_a_body_of_text_is_shown_as_text():
    """What is no JSON but readable is shown as it came."""
    assert '<pre tabindex="0">name;price\nBunny;7</pre>' in shown.body(b"name;price\nBunny;7")


@pytest.mark.parametrize("body", [bytes(range(256)) * 8, b"\x1f\x8b\x08\x00", b"a\x00b"])
def test_a_body_that_is_no_text_is_shown_as_its_first_bytes_and_its_size(body):
    """Enough to recognise a format by, and no more."""
    html = shown.body(memoryview(body))

    assert body[:4].hex(" ") in html
    assert "no readable text" in html
    assert len(html) < 4 * shown.LONGEST_HEX + 1000


def test_a_huge_body_is_not_read_as_text():
    """Showing a page must not cost what the message cost."""
    html = shown.body(b'{"a": "' + b"x" * shown.LARGEST_READ + b'"}')

    assert "4.0" in html
    assert len(html) < 4 * shown.LONGEST_HEX + 1000


@pytest.mark.parametrize("body", [b"", b"null", b"7", b'"text"', b"[" * 100_000])
def test_any_bytes_can_be_shown(body):
    """No message makes its page fail."""
    assert shown.body(body)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (None, shown.NOTHING),
        (0.0123, "12 ms"),
        (timedelta(seconds=12.34), "12.3 s"),
        (75, "1 min 15 s"),
        (timedelta(hours=3, minutes=4), "3 h 4 min"),
    ],
)
def test_lengths_of_time_are_told_as_people_tell_them(length, text):
    """Milliseconds for the short ones, hours for the long ones."""
    assert shown.duration(length) == text


def test_times_are_shown_in_the_readers_zone():
    """To the second, with the exact one to hover over."""
    with override_settings(TIME_ZONE="Europe/Vienna"):
        html = shown.instant(datetime(2026, 7, 1, 12, 30, 15, 250, tzinfo=UTC))

    assert "2026-07-01" in html
    assert "14:30:15" in html
    assert shown.instant(None) == shown.NOTHING


@pytest.mark.parametrize("text", ["2026-07-01T12:00:00+00:00", "yesterday", None])
def test_a_time_that_was_kept_as_text_is_shown_whatever_it_is(text):
    """A ledger row written by another version does not break its page."""
    assert shown.instant_of(text)


def test_a_long_identifier_is_shown_by_its_end():
    """UUIDs of one second begin alike; the whole one is there to hover over and to be copied."""
    event_id = "01a1fba9-55f8-777e-8811-1c28a9c12b33"

    assert f'title="{event_id}"' in shown.brief(event_id)
    assert f">{event_id}<" in shown.brief(event_id)
    assert "taskrouting-brief" not in shown.brief("order-17")


def test_the_last_line_of_a_traceback_says_what_was_wrong():
    """It is what a list has room for."""
    assert shown.last_line("Traceback:\n  File x\nValueError: no codec\n") == "ValueError: no codec"
    assert shown.last_line("") == ""
