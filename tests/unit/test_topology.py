"""Does the code imply the right queues and bindings?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrouting import topics
from taskrouting.routing import subscriptions, topology
from taskrouting.routing.subscriptions import Registry, subscribe
from taskrouting.routing.topology import Binding, Queue, Topology, covers, widest

words = st.sampled_from(["a", "b", "", "ä"])
keys = st.lists(words, max_size=5).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "#", "#", "a*"]), min_size=1, max_size=5).map(
    ".".join
)

#: Every key of up to four words from a small vocabulary, enough to tell patterns apart.
ALL_KEYS = [""] + [
    ".".join(chosen) for length in range(1, 5) for chosen in product(["a", "b"], repeat=length)
]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry in which nobody has subscribed yet."""
    empty = Registry()
    monkeypatch.setattr(subscriptions, "registry", empty)
    yield empty


def media() -> Topology:
    """The reference topology."""
    return Topology(
        exchange="media_exchange",
        queues=(
            Queue(name="audit_queue", patterns=("#",)),
            Queue(name="video_queue", patterns=("video.#",)),
        ),
    )


@pytest.mark.parametrize(
    ("routing_key", "queues"),
    [
        ("video.upload", ["audit_queue", "video_queue"]),
        ("video", ["audit_queue", "video_queue"]),
        ("user.login", ["audit_queue"]),
        ("videos.upload", ["audit_queue"]),
    ],
)
def test_the_reference_topology_routes_as_promised(routing_key, queues):
    """``video.upload`` reaches both queues, once each; ``user.login`` only the audit queue."""
    assert [binding.queue for binding in media().route(routing_key)] == queues


def test_a_queue_is_found_by_its_name():
    """Whoever has a name gets the queue, or learns that it is not ours."""
    assert media().queue("video_queue") == Queue(name="video_queue", patterns=("video.#",))
    assert media().queue("nobodys_queue") is None


def test_a_subscription_declares_its_queue_and_binding(registry, settings):
    """Nothing has to be written twice: the topology follows from the code."""
    settings.TASKROUTING = {"EXCHANGE": "media_exchange"}

    @subscribe("video.upload", "image.*", queue="media_queue", name="transcode")
    def transcode(event): ...

    assert topology.current() == Topology(
        exchange="media_exchange",
        queues=(Queue(name="media_queue", patterns=("image.*", "video.upload")),),
    )


def test_subscriptions_share_a_queue_with_the_bindings_of_all(registry):
    """A queue receives what any of its subscriptions wants."""
    for name, pattern in {"one": "video.#", "two": "video.upload", "three": "user.*"}.items():
        subscribe(pattern, queue="shared", name=name)(lambda event: None)

    [queue] = topology.current().queues

    assert queue.patterns == ("user.*", "video.#")
    assert queue.bindings == [Binding("user.*", "shared"), Binding("video.#", "shared")]


def test_settings_tune_a_queue_and_add_bindings(registry, settings):
    """``QUEUES`` adds to what the subscriptions say, and PREFETCH is what it leaves open."""
    settings.TASKROUTING = {
        "PREFETCH": 7,
        "QUEUES": {
            "tuned": {
                "bindings": ["audit.#"],
                "type": "classic",
                "arguments": {"x-max-priority": 9},
            },
            "foreign": {"bindings": ["#"], "prefetch": 1},
        },
    }
    subscribe("video.#", queue="tuned", name="one")(lambda event: None)

    assert topology.current().queues == (
        Queue(name="foreign", patterns=("#",), prefetch=1),
        Queue(
            name="tuned",
            patterns=("audit.#", "video.#"),
            type="classic",
            prefetch=7,
            arguments={"x-max-priority": 9},
        ),
    )


def test_the_order_of_the_code_does_not_matter(registry):
    """Two processes that import in another order declare the same."""
    seen = []
    for names in (["a", "b"], ["b", "a"]):
        for name in names:
            subscribe(f"{name}.#", "z.#", queue=f"q_{name}", name=name)(lambda event: None)
        seen.append(topology.current())
        for name in names:
            registry.remove(name)

    assert seen[0] == seen[1]


@given(st.lists(patterns, max_size=6), keys)
def test_dropping_what_is_covered_changes_no_route(written, key):
    """A queue gets the same events from the widest patterns as from all of them."""
    before = any(topics.matches(pattern, key) for pattern in written)
    after = any(topics.matches(pattern, key) for pattern in widest(written))

    assert after is before


@given(patterns, patterns)
def test_a_pattern_covers_only_what_it_matches(wide, narrow):
    """That one covers another is a proof: there is no key that only the narrow one wants."""
    if covers(wide, narrow):
        for key in ALL_KEYS:
            assert topics.matches(wide, key) or not topics.matches(narrow, key), key


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ("#", "*.#.a", True),
        ("a.#", "a", True),
        ("a.#", "a.*.#", True),
        ("*.#", "a.#", True),
        ("*", "a", True),
        ("*", "#", False),
        ("*.*", "a.#", False),
        ("a", "*", False),
        ("a.#", "#", False),
        ("*.a", "#.a", False),
        ("#.a", "a.#", False),
        ("*", "a.b", False),
        ("a.*", "a", False),
    ],
)
def test_whether_a_pattern_covers_another(wide, narrow, covered):
    """``#`` stands for any number of words, and nothing but ``#`` covers it."""
    assert covers(wide, narrow) is covered


@given(st.lists(patterns, max_size=6))
def test_the_widest_patterns_do_not_cover_each_other(written):
    """Nothing is left that another pattern says already, and none says nothing twice."""
    kept = widest(written)

    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(written)
    assert not any(covers(a, b) for a in kept for b in kept if a != b)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["video.upload", "video.#"], ["video.#"]),
        (["video.upload", "#", "user.*"], ["#"]),
        (["video.*", "video.upload"], ["video.*"]),
        (["video.*", "video.#"], ["video.#"]),
        (["video.*", "*.upload"], ["*.upload", "video.*"]),
        (["a.b", "a.b"], ["a.b"]),
        ([], []),
    ],
)
def test_a_queue_keeps_its_widest_patterns(written, kept):
    """``video.#`` says all that ``video.upload`` does."""
    assert list(widest(written)) == kept


def test_the_longest_patterns_are_compared_without_end():
    """255 bytes full of ``#`` are answered, and at once."""
    assert covers("#." * 127 + "#", "*." * 127 + "b")
    assert not covers("#.a." * 63 + "c", "#.a." * 63 + "b")
