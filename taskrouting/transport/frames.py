"""How are AMQP's frames read? Many with one call.

py-amqp asks the socket for the head, the body and the end of each of a message's three frames. Each
of these nine calls lets another thread have the interpreter, which gives it back up to five
milliseconds later; so while handlers computed, half of the receiving thread's time was waiting.
"""

from __future__ import annotations

from ssl import SSLWantReadError
from struct import Struct
from typing import Any

import kombu
from amqp.exceptions import UnexpectedFrame  # type: ignore[import-untyped]
from amqp.transport import SSLTransport, TCPTransport  # type: ignore[import-untyped]
from kombu.transport import pyamqp

#: Bytes to ask for at once: ten messages or so. More would be copied more often than read.
CHUNK = 16 * 1024

#: Type, channel and size of a frame; and the octet that ends it.
HEAD, END = Struct(">BHI"), 0xCE


class Frames:
    """Reads frames from what has come already, and from the socket when that is not enough."""

    sock: Any
    connected: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._come = b""
        #: Where the next frame begins.
        self._at = 0

    @property
    def ahead(self) -> bool:
        """Whether something has come that is not read yet."""
        return self._at < len(self._come)

    def read_frame(self) -> tuple[int, int, bytes]:
        """Return type, channel and payload of the next frame.

        Raises TimeoutError when it is not whole in time: what has come of it is kept. Raises
        OSError when the connection is lost, UnexpectedFrame for what is no frame.
        """
        self._await(HEAD.size)
        kind, channel, size = HEAD.unpack_from(self._come, self._at)
        self._await(HEAD.size + size + 1)
        begin = self._at + HEAD.size
        end = begin + size
        payload, last = self._come[begin:end], self._come[end]
        self._at = end + 1
        if last != END:
            raise UnexpectedFrame(f"A frame ends with {last:#04x}, and not with {END:#04x}.")
        return kind, channel, payload

    def _await(self, size: int) -> None:
        """Wait until so many bytes of a frame have come."""
        while (missing := size - (len(self._come) - self._at)) > 0:
            try:
                more = self.sock.recv(max(missing, CHUNK))
            except TimeoutError:
                raise  # nothing is lost
            except (BlockingIOError, SSLWantReadError) as error:
                raise TimeoutError("Nothing came in time.") from error
            except OSError:
                self.connected = False
                raise
            if not more:
                self.connected = False
                raise ConnectionResetError("The server has closed the connection.")
            self._come, self._at = self._come[self._at :] + more, 0


class Plain(Frames, TCPTransport):  # type: ignore[misc]  # py-amqp is untyped
    """Frames over TCP."""


class Secure(Frames, SSLTransport):  # type: ignore[misc]  # py-amqp is untyped
    """Frames over TLS."""


class _Connection(pyamqp.Connection):  # type: ignore[misc]  # kombu is untyped
    """A connection of py-amqp that reads so."""

    def Transport(  # noqa: N802  # py-amqp's name
        self,
        host: str,
        connect_timeout: float,
        ssl: Any = False,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        **more: Any,
    ) -> Any:
        """Make what it reads and writes through."""
        return (Secure if ssl else Plain)(
            host,
            connect_timeout=connect_timeout,
            ssl=ssl,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
            **more,
        )


class _Transport(pyamqp.Transport):  # type: ignore[misc]  # kombu is untyped
    """Kombu's, with such connections."""

    Connection = _Connection


class _SecureTransport(pyamqp.SSLTransport):  # type: ignore[misc]  # kombu is untyped
    """Kombu's for TLS, with such connections."""

    Connection = _Connection


#: Kombu's transports for AMQP, and ours in their place.
_OURS: dict[type[Any], type[Any]] = {
    pyamqp.Transport: _Transport,
    pyamqp.SSLTransport: _SecureTransport,
}


class Connection(kombu.Connection):  # type: ignore[misc]  # kombu is untyped
    """A connection of Kombu whose way to RabbitMQ is ours."""

    def get_transport_cls(self) -> type[Any]:
        """Return the transport's class for the URL."""
        usual: type[Any] = super().get_transport_cls()
        return _OURS.get(usual, usual)
