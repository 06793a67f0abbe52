"""Does everything published inherit who acts, and nothing leak past the block that said so?"""

from __future__ import annotations

import asyncio
import threading

import pytest

from taskrouting import context


def test_nobody_acts_unless_somebody_says_so():
    """Outside every block the context is empty."""
    assert context.current() == context.Context()


def test_blocks_add_to_each_other_and_end():
    """An inner block changes what it names, keeps the rest, and takes it back."""
    with context.acting(actor="cron", correlation_id="c1"):
        with context.acting(causation_id="e1"):
            assert context.current() == context.Context(
                actor="cron", correlation_id="c1", causation_id="e1"
            )
        assert context.current() == context.Context(actor="cron", correlation_id="c1")
    assert context.current() == context.Context()


def test_a_block_that_fails_ends_too():
    """An exception leaves no actor behind."""
    with pytest.raises(RuntimeError), context.acting(actor="cron"):
        raise RuntimeError("the import fails")
    assert context.current().actor is None


def test_an_actor_may_be_asked_for_late():
    """A function is asked each time somebody reads the context, and never before."""
    user = ["nobody yet"]
    with context.acting(actor=lambda: user[0]):
        user[0] = "ana"
        assert context.current().actor == "ana"
        user[0] = None
        assert context.current().actor is None


def test_finding_out_who_acts_may_read_the_context():
    """Looking a user up may itself publish; that event has no actor, and there is no loop."""
    seen = []

    def actor():
        seen.append(context.current())
        return "ana"

    with context.acting(actor=actor, correlation_id="c1"):
        assert context.current().actor == "ana"

    assert seen == [context.Context(correlation_id="c1")]


def test_an_unknown_field_is_refused():
    """A typing mistake is an error, not a context without effect."""
    with pytest.raises(TypeError, match="aktor"), context.acting(aktor="ana"):
        pass


def test_threads_have_contexts_of_their_own():
    """A thread that is started in a block does not act for it."""
    seen = []
    with context.acting(actor="ana"):
        thread = threading.Thread(target=lambda: seen.append(context.current().actor))
        thread.start()
        thread.join()

    assert seen == [None]


def test_tasks_that_take_turns_keep_their_contexts_apart():
    """Two coroutines on one thread each see their own actor."""

    async def act(name, mine, other):
        with context.acting(actor=name):
            mine.set()
            await other.wait()
            return context.current().actor

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(act("ana", first, second), act("ben", second, first))

    assert asyncio.run(both()) == ["ana", "ben"]
