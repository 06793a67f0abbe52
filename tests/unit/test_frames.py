"""Are AMQP's frames read whole, however they come, and nothing of them lost?"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from amqp.exceptions import UnexpectedFrame
from kombu.transport import pyamqp

from taskrouting.transport import frames

#: TLS without certificates: what is tested is how we read, not whom we trust.
CIPHERS = "aNULL:@SECLEVEL=0"


def frame(payload: bytes, end: int = 0xCE) -> bytes:
    """A frame of channel 7."""
    return struct.pack(">BHI", 1, 7, len(payload)) + payload + bytes([end])


def context(side: int) -> ssl.SSLContext:
    """TLS for one end."""
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_ciphers(CIPHERS)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


@contextmanager
def ends(secure: bool) -> Iterator[tuple[frames.Frames, socket.socket]]:
    """The reading end of a connection that is up, and the broker's end."""
    ours, theirs = socket.socketpair()
    if secure:
        answered = []
        server = context(ssl.PROTOCOL_TLS_SERVER)
        thread = threading.Thread(
            target=lambda: answered.append(server.wrap_socket(theirs, server_side=True))
        )
        thread.start()
        ours = context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(ours)
        thread.join()
        (theirs,) = answered
    transport = (frames.Secure if secure else frames.Plain)("localhost:1")
    transport.sock, transport.connected = ours, True
    with ours, theirs:
        yield transport, theirs


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("size", [1, 5, 8, 1000])
def test_frames_are_read_in_their_order_however_they_are_cut(secure: bool, size: int) -> None:
    """The empty one and one that is larger than a read among them."""
    payloads = [b"first", b"", b"x" * (2 * frames.CHUNK), b"last"]
    sent = b"".join(frame(payload) for payload in payloads)
    with ends(secure) as (transport, theirs):

        def send() -> None:
            for start in range(0, len(sent), size):
                theirs.sendall(sent[start : start + size])

        sender = threading.Thread(target=send)
        sender.start()
        transport.sock.settimeout(10)
        read = [transport.read_frame() for _ in payloads]
        sender.join()

        assert read == [(1, 7, payload) for payload in payloads]
        assert not transport.ahead


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("timeout", [0.0, 0.01])
def test_what_has_come_of_a_frame_waits_for_the_rest(secure: bool, timeout: float) -> None:
    """A read that is not whole in time is a timeout, and the next one goes on with it."""
    whole = frame(b"in two parts")
    with ends(secure) as (transport, theirs):
        for part in (whole[:3], whole[3:15]):
            theirs.sendall(part)
            with pytest.raises(TimeoutError), transport.having_timeout(timeout):
                transport.read_frame()
        theirs.sendall(whole[15:] + frame(b"the next"))
        transport.sock.settimeout(10)

        assert transport.read_frame() == (1, 7, b"in two parts")
        assert transport.ahead
        assert transport.read_frame() == (1, 7, b"the next")
        assert transport.connected


def test_the_operating_systems_limit_is_a_timeout_too() -> None:
    """It is what py-amqp sets for answers that are waited for without a time of their own."""
    with ends(secure=False) as (transport, _):
        transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1))

        with pytest.raises(TimeoutError), transport.having_timeout(None):
            transport.read_frame()


def test_a_connection_that_ends_is_lost() -> None:
    """Also in the middle of a frame."""
    with ends(secure=False) as (transport, theirs):
        theirs.sendall(frame(b"cut off")[:-1])
        theirs.close()

        with pytest.raises(OSError, match="closed the connection"):
            transport.read_frame()
        assert not transport.connected


def test_a_frame_without_its_end_is_refused() -> None:
    """What follows could be anything."""
    with ends(secure=False) as (transport, theirs):
        theirs.sendall(frame(b"odd", end=0))

        with pytest.raises(UnexpectedFrame, match="0x00"):
            transport.read_frame()


@pytest.mark.parametrize(
    ("url", "usual"),
    [
        ("amqp://localhost", pyamqp.Transport),
        ("amqps://localhost", pyamqp.SSLTransport),
        ("amqp://one.example;amqp://two.example", pyamqp.Transport),
    ],
)
def test_every_way_to_rabbitmq_reads_so(url: str, usual: type) -> None:
    """And is Kombu's transport in everything else."""
    found = frames.Connection(url).get_transport_cls()

    assert issubclass(found, usual)
    assert issubclass(found.Connection, pyamqp.Connection)
    assert found is not usual
