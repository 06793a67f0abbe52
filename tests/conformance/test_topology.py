"""What does declaring do to what is there already?"""

from __future__ import annotations

import pytest
from kombu import Exchange

from taskrouting.exceptions import TopologyConflict
from tests.conformance.installation import Installation, identities
from tests.conformance.places import CLASSIC, QUORUM, RABBITMQ


def test_declaring_again_harms_nothing(installation: Installation) -> None:
    """Worker and relay both declare the topology: what waits in the queues stays there."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    installation.declare()
    installation.declare()

    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_queue_with_other_arguments_is_named(installation: Installation) -> None:
    """One sentence says which queue, which argument and which setting; nothing is changed."""
    queue = installation.queue("video.#")
    installation.declare()
    installation.queue("video.#", arguments={"x-max-length": 5})

    with pytest.raises(TopologyConflict) as raised:
        installation.declare()
    assert f"Queue {queue!r}" in str(raised.value)
    assert "'x-max-length'" in str(raised.value)
    assert f"['QUEUES'][{queue!r}]" in str(raised.value)


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_queue_of_another_type_is_named(installation: Installation) -> None:
    """``type`` cannot be changed in place: the sentence names the first argument that differs."""
    queue = installation.queue("video.#")
    installation.declare()
    other = {QUORUM: "classic", CLASSIC: "quorum"}[installation.name]
    installation.queue("video.#", type=other)

    with pytest.raises(TopologyConflict, match=f"Queue '{queue}'.*inequivalent arg 'x-"):
        installation.declare()


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_an_argument_that_the_queue_type_does_not_take_is_named(
    installation: Installation,
) -> None:
    """A quorum queue has no priorities; whoever asks for them is told by the broker's own words."""
    queue = installation.queue("video.#", arguments={"x-max-priority": 9})

    with pytest.raises(TopologyConflict, match=f"Queue '{queue}' is refused.*x-max-priority"):
        installation.declare()


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_an_exchange_of_another_kind_is_named(installation: Installation) -> None:
    """Somebody else's exchange of our name is a conflict that names the exchange."""
    with installation.kombu() as connection:
        Exchange(installation.exchange, "fanout", durable=True)(connection.channel()).declare()

    with pytest.raises(TopologyConflict, match=f"Exchange '{installation.exchange}'.*'type'"):
        installation.declare()
