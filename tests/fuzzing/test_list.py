"""What if anything at all lies on a list in Redis? It arrives, and the consumer goes on."""

from __future__ import annotations

from contextlib import suppress

import pytest
import redis
from hypothesis import HealthCheck, given, settings

from taskrouting.consuming import delivery
from tests.conformance.installation import Installation
from tests.conformance.places import REDIS
from tests.fuzzing import strange


@pytest.mark.parametrize("place", [REDIS], indirect=True)
def test_whatever_lies_on_a_list_arrives(installation: Installation) -> None:
    """Each is delivered once and read without a surprise; none ends the consumer."""
    queue = installation.queue("video.#")
    installation.declare()
    name = f"{installation.place.options['global_keyprefix']}{queue}"

    server = redis.Redis.from_url(installation.place.url)
    with server as client, installation.taking(queue) as taker:

        @settings(max_examples=200, suppress_health_check=list(HealthCheck))
        @given(strange.on_a_list)
        def push_and_take(content: bytes) -> None:
            client.lpush(name, content)
            (arrival,) = taker.take_and_acknowledge()
            with suppress(delivery.Undeliverable):
                delivery.decode(arrival)

        push_and_take()
        assert not taker.receiver.drain(0.1)
