"""Do signatures survive every transport, and let go what was kept until it is received?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskrouting.consuming import delivery
from tests.conformance.installation import Installation, settle
from tests.waiting import wait_until

KEY = "a key of thirty-two bytes or more"


def test_what_is_signed_arrives_signed(installation: Installation) -> None:
    """Each transport hands over what the signature covers as it was; what was not, is refused."""
    installation.configure(SIGNING_KEYS=[KEY], COMPRESSION="gzip")
    queue = installation.queue("видео.#")
    event = installation.send("видео.загрузка", {"title": "Häschen"})

    with installation.taking(queue) as taker:
        (came,) = taker.take()
        settle(came, taker.receiver)

    assert delivery.decode(came) == event
    for change in ({"routing_key": "видео.x"}, {"headers": {}}, {"content_type": "text/json"}):
        with pytest.raises(delivery.Undeliverable) as refused:
            delivery.decode(replace(came, **change))  # type: ignore[arg-type]
        assert refused.value.reason in ("not_accepted", "undecodable")
    wait_until(
        lambda: not installation.waiting().filter(queue=queue).exists(),
        timeout=30,
        message="the row to go",
    )
