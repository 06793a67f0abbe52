"""What does a consumer look like that dies with a message in its hands? Run in a subprocess.

``python -m tests.conformance.holder QUEUE SETTLE`` takes messages from the queue, says the id of
each and whether it came again, settles the first ``SETTLE`` of them, and holds the others
until it is killed.
"""

from __future__ import annotations

import sys

import django

TICK = 0.1


def hold(queue: str, settle: int) -> None:
    """Consume for ever."""
    from taskrouting import conf
    from taskrouting.transport import receiving
    from taskrouting.transport.broker import Broker
    from taskrouting.transport.messages import Arrival
    from tests.conformance.installation import settle as settle_one

    broker = Broker(conf.current())
    arrivals: list[Arrival] = []
    with receiving.receiver(broker) as receiver:
        receiver.consume({queue: 10}, arrivals.append)
        print("ready", flush=True)  # noqa: T201  # the test reads it
        while True:
            receiver.drain(TICK)
            for arrival in arrivals:
                if settle > 0:
                    settle_one(arrival, receiver)
                    settle -= 1
                print(arrival.properties["message_id"], arrival.redelivered, flush=True)  # noqa: T201
            arrivals.clear()


if __name__ == "__main__":
    django.setup()
    hold(sys.argv[1], int(sys.argv[2]))
