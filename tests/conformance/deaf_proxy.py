"""What is a pooler in transaction mode like? A proxy to PostgreSQL that swallows notifications."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: The type of the message in which PostgreSQL notifies.
NOTIFICATION = b"A"


@contextmanager
def deaf_proxy(host: str, port: int) -> Iterator[int]:
    """Proxy connections without TLS to ``host:port`` for a block; yields the port to connect to."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=[server, (host, port)], daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _accept(server: socket.socket, upstream: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        database = socket.create_connection(upstream)
        for copy in (_ask, _answer):
            threading.Thread(target=copy, args=[client, database], daemon=True).start()


def _ask(client: socket.socket, database: socket.socket) -> None:
    """Pass on what the client says."""
    try:
        while said := client.recv(65536):
            database.sendall(said)
    except OSError:
        pass  # either of them has gone
    _end(client, database)


def _answer(client: socket.socket, database: socket.socket) -> None:
    """Pass on what PostgreSQL says, message by message, but the notifications."""
    try:
        with database.makefile("rb") as answers:
            while header := answers.read(5):
                kind, length = struct.unpack("!cI", header)
                body = answers.read(length - 4)
                if kind != NOTIFICATION:
                    client.sendall(header + body)
    except (OSError, struct.error):
        pass  # either of them has gone
    _end(client, database)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):  # the other thread was here first
            each.shutdown(socket.SHUT_RDWR)
        each.close()
