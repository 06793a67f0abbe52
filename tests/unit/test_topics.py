"""Does our topic grammar answer as RabbitMQ does?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouting import topics
from taskrouting.exceptions import InvalidPattern, InvalidRoutingKey

MEASURED = json.loads((Path(__file__).parents[1] / "cases" / "topic_routing.json").read_text())

#: Few words, so that a pattern and a key often have some in common; "" is a word as well.
words = st.sampled_from(["a", "b", "ab", "", "ä", "+", "\n"])
keys = st.lists(words, max_size=8).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "#", "#", "a*", "#b", "**"]), max_size=8).map(
    ".".join
)


def split(text: str) -> list[str]:
    """The words of a key or pattern; the empty text has none."""
    return text.split(".") if text else []


def wants(pattern: list[str], key: list[str]) -> bool:
    """The grammar as one would write it down, without a thought about time."""
    if not pattern:
        return not key
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(wants(rest, key[taken:]) for taken in range(len(key) + 1))
    return bool(key) and head in ("*", key[0]) and wants(rest, key[1:])


@pytest.mark.parametrize(
    ("routing_key", "receivers"), MEASURED["matches"], ids=[repr(k) for k, _ in MEASURED["matches"]]
)
def test_a_key_reaches_the_queues_it_reached_on_rabbitmq(routing_key, receivers):
    """A binding means here exactly what it was measured to mean on RabbitMQ."""
    reached = {each for each in MEASURED["patterns"] if topics.matches(each, routing_key)}

    assert reached == set(receivers)


@given(patterns, keys)
def test_the_matcher_agrees_with_the_grammar_written_down_naively(pattern, key):
    """Compiling a pattern changes how fast it answers and never what it answers."""
    assert topics.matches(pattern, key) is wants(split(pattern), split(key))


@given(st.text(), st.text())
def test_any_text_gets_the_answer_of_the_grammar(pattern, key):
    """No character means anything special to the matcher but dot, star and hash."""
    assert topics.matches(pattern, key) is wants(split(pattern), split(key))


@given(keys)
def test_a_key_without_wildcards_matches_itself(key):
    """A routing key used as a pattern wants at least itself."""
    assert topics.matches(key, key)


@given(patterns | st.text())
def test_a_pattern_is_read_back_from_its_expression(pattern):
    """It may be another one, without ``#`` beside ``#``, that wants the very same keys."""
    written = topics.expression(pattern)

    found = topics.pattern_in(written)

    assert found is not None
    assert topics.expression(found) == written


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (topics.expression("video.*.#"), "video.*.#"),
        (topics.expression("#.a-b.#.#"), "#.a-b.#"),
        (topics.expression("#"), "#"),
        (r"^video[.]\w+$", None),
        ("video", None),
        ("", None),
    ],
)
def test_only_our_own_expressions_are_read_back(text, pattern):
    """What somebody else wrote is none, for no pattern may mean the same."""
    assert topics.pattern_in(text) == pattern


@pytest.mark.parametrize(
    ("pattern", "key", "wanted"),
    [
        ("#.a." * 63 + "#", "a." * 127 + "b", True),
        ("#.a." * 63 + "c", "a." * 127 + "b", False),
        ("#." * 127 + "b", "a." * 127 + "a", False),
        ("#.*." * 63 + "b", "." * 254, False),
        ("*.#." * 63 + "b", "a." * 127 + "b", True),
        ("#.a.a.a.b." * 25 + "#", "a." * 127 + "a", False),
    ],
)
def test_a_pattern_made_to_explode_is_answered(pattern, key, wanted):
    """The longest patterns that AMQP allows, full of ``#``, get their answer like any other.

    A matcher that goes back to try each ``#`` again would never return.
    """
    assert topics.matches(topics.validate_pattern(pattern), key) is wanted


@pytest.mark.parametrize(
    "text", ["video.upload", ".", "..", "ä" * 127, "a" * 255, "a b", "\n", "video.#", "*"]
)
def test_what_amqp_carries_is_valid(text):
    """Whatever fits into 255 bytes is a routing key and a pattern, pretty or not."""
    assert topics.validate_routing_key(text) == text
    assert topics.validate_pattern(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "NoneType, not text"),
        (b"video", "bytes, not text"),
        (7, "int, not text"),
        ("", "empty"),
        ("a" * 256, "256 bytes"),
        ("ä" * 128, "256 bytes"),
        ("a\x00b", "NUL character at index 1"),
        ("\ud800", "surrogate pair at index 0"),
    ],
)
def test_what_amqp_or_the_database_cannot_carry_is_refused(text, reason):
    """A bad key or pattern is refused where it is written, with the reason."""
    with pytest.raises(InvalidRoutingKey, match=reason):
        topics.validate_routing_key(text)
    with pytest.raises(topics.InvalidPattern, match=reason):
        topics.validate_pattern(text)


def test_the_exception_of_patterns_is_importable_from_topics():
    """``taskrouting.topics.InvalidPattern`` is the one from the exception tree."""
    assert topics.InvalidPattern is InvalidPattern


@pytest.mark.parametrize(
    ("pattern", "suspicious"),
    [
        ("video.*.#", []),
        ("vid*.upload", ["vid*"]),
        ("**.a#.#.*", ["**", "a#"]),
        ("", []),
        ("##", ["##"]),
    ],
)
def test_a_wildcard_inside_a_word_is_suspicious(pattern, suspicious):
    """``vid*`` is legal and literal; whoever wrote it most likely meant something else."""
    assert topics.suspicious_words(pattern) == suspicious


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ready", "ready"),
        ("v1.2", "v1_2"),
        ("in progress", "in_progress"),
        ("#1*", "_1_"),
        ("", "_"),
        ("über-groß_1", "über-groß_1"),
        ("a\x00\n\x85\u2028\ud800b", "a_____b"),
    ],
)
def test_any_text_can_become_one_word(text, word):
    """What a word may not hold becomes an underscore, and nothing else changes."""
    assert topics.word(text) == word


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
def test_a_made_word_is_one_plain_word_of_a_valid_key(text):
    """Whatever a model's field holds, it cannot add words or wildcards to a routing key."""
    key = f"video.{topics.word(text)}"

    assert topics.matches("video.*", key)
    assert topics.suspicious_words(key) == []
    assert topics.validate_routing_key(key) == key
