"""How is a connection given back when the way to the broker is broken? Without leaving a socket.

Kombu closes the channels of a virtual transport one after the other and ends with the first error.
On Redis each channel has connections of its own, and those of the others stayed open, three per
outage. What was not settled it would write into a file, where nobody looks; the receiver has handed
it back, and what could not be handed back comes again when its time is up.
"""

from __future__ import annotations

from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any

from kombu import Connection

from . import flow


def close(connection: Connection, faults: tuple[type[Exception], ...]) -> None:
    """Close ``connection`` and all it holds; an error of ``faults`` says nothing new and passes."""
    if flow.is_blocked(connection):
        cut(connection)  # a goodbye would not be answered
    for channel in _channels(connection):
        channel.do_restore = False
        for _ in range(2):  # once to stumble over the broken socket, once to go on behind it
            with suppress(*faults):
                channel.close()
        _disconnect(channel)
    try:
        connection.release()
    except faults:
        connection.collect()


def cut(connection: Connection) -> None:
    """Cut a connection that is no good: what is still to be said on it must not wait for answers.

    Belongs to the thread that owns the connection.
    """
    for channel in _channels(connection):
        _disconnect(channel)
    socket = getattr(getattr(connection.connection, "transport", None), "sock", None)  # AMQP's
    if socket is not None:
        with suppress(OSError):
            socket.shutdown(SHUT_RDWR)


def _channels(connection: Connection) -> list[Any]:
    """The channels of a virtual transport; AMQP's have no sockets of their own."""
    transport = connection.transport
    return [*getattr(transport, "channels", ()), *getattr(transport, "_avail_channels", ())]


def _disconnect(channel: Any) -> None:
    """Close the connections of a Redis channel that its closing has opened again."""
    for client in [channel.__dict__.get(name) for name in ("client", "subclient")]:
        if client is not None:
            client.connection_pool.disconnect()
