"""How does a test take a server away without touching it? By a proxy that can close its door."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """A TCP proxy in front of one server, with a door that can be closed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.port = 0
        self.connections = 0
        self.open_door()

    def open_door(self) -> None:
        """Let connections through."""
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def close_door(self) -> None:
        """Cut what is connected and refuse what comes."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                server = socket.create_connection(self._target)
                self._pairs.append((client, server))
                threading.Thread(target=_carry, args=[client, server], daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either end closes."""
    with one, other, selectors.DefaultSelector() as selector, suppress(OSError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # a socket
                if not data:
                    return
                key.data.sendall(data)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy for a block."""
    running = Proxy(host, port)
    try:
        yield running
    finally:
        running.close_door()
