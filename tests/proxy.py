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
        self._pairs: list[Pair] = []
        self._lock = threading.Lock()
        self.port = 0
        self.connections = 0
        self.swallowed = b""
        self.open_door()

    def open_door(self) -> None:
        """Let connections through."""
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def close_door(self) -> None:
        """Cut what is connected and refuse what comes."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for pair in self._pairs:
            pair.cut()
        self._pairs.clear()

    def fall_silent(self) -> None:
        """Keep what is connected and carry nothing over it any more; what comes is served."""
        for pair in self._pairs:
            pair.silent = True

    def swallow(self, word: bytes) -> None:
        """Carry nothing more over a connection, old or new, on which somebody says ``word``."""
        self.swallowed = word

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                pair = Pair(self, client, socket.create_connection(self._target))
                with self._lock:
                    if listener is not self._listener:  # the door was closed meanwhile
                        pair.cut()
                    self._pairs.append(pair)
                threading.Thread(target=pair.carry, daemon=True).start()


class Pair:
    """A connection to the proxy, and the one it has made for it."""

    def __init__(self, proxy: Proxy, one: socket.socket, other: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (one, other)
        self.silent = False

    def carry(self) -> None:
        """Carry bytes both ways until either end closes; in silence neither learns of the other."""
        one, other = self._ends
        with one, other, selectors.DefaultSelector() as selector, suppress(OSError):
            selector.register(one, selectors.EVENT_READ, other)
            selector.register(other, selectors.EVENT_READ, one)
            while selector.get_map():
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # a socket
                    word = self._proxy.swallowed
                    self.silent |= bool(word) and word in data
                    if data and not self.silent:
                        key.data.sendall(data)
                    elif not data and not self.silent:
                        return
                    elif not data:
                        selector.unregister(key.fileobj)

    def cut(self) -> None:
        """Close both ends."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy for a block."""
    running = Proxy(host, port)
    try:
        yield running
    finally:
        running.close_door()
