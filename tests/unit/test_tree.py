"""Does the tree of patterns find what each pattern alone would?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouting import topics
from taskrouting.routing.tree import PatternTree

MEASURED = json.loads((Path(__file__).parents[1] / "cases" / "topic_routing.json").read_text())

words = st.sampled_from(["a", "b", "ab", "", "ä", "*", "#", "a*"])
keys = st.lists(words, max_size=6).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "#", "#"]), max_size=6).map(".".join)


@pytest.mark.parametrize(
    ("routing_key", "receivers"), MEASURED["matches"], ids=[repr(k) for k, _ in MEASURED["matches"]]
)
def test_a_key_finds_the_queues_it_reached_on_rabbitmq(routing_key, receivers):
    """All bindings asked at once mean what they were measured to mean on RabbitMQ."""
    tree = PatternTree((each, each) for each in MEASURED["patterns"])

    assert tree.find(routing_key) == set(receivers)


@given(st.lists(patterns, max_size=12), st.lists(keys, max_size=4))
def test_the_tree_agrees_with_each_pattern_by_itself(bound, asked):
    """Branches that patterns share change how fast they answer and never what they answer."""
    tree = PatternTree((each, each) for each in bound)

    for key in asked:
        assert tree.find(key) == {each for each in bound if topics.matches(each, key)}


def test_one_pattern_may_lead_to_many_names():
    """And one name may be found in several ways, but is there once."""
    tree = PatternTree([("a.#", "one"), ("a.#", "two"), ("#", "one")])

    assert tree.find("a.b") == {"one", "two"}
    assert tree.find("b") == {"one"}


def test_patterns_made_to_explode_are_answered():
    """The longest patterns that AMQP allows, full of ``#``, get their answer like any other."""
    bound = ["#.a." * 63 + "#", "#.a." * 63 + "c", "#.*." * 63 + "b", "*.#." * 63 + "b"]
    tree = PatternTree((each, each) for each in bound)

    assert tree.find("a." * 127 + "b") == {each for each in bound if each != bound[1]}
