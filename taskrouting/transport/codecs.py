"""How are bodies unpacked and read that are not JSON as they stand? By Kombu's names.

Kombu itself unpacks what arrives, however large it becomes, in the thread that owns the socket.
Here nothing grows past a limit, and it happens where the message is read: ``Packed`` keeps Kombu
from it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kombu import compression, message, serialization
from kombu.exceptions import DecodeError, SerializerNotInstalled

from taskrouting import conf, json_text
from taskrouting.exceptions import InvalidEnvelope, NotAccepted

from .messages import COMPRESSION, REWRITTEN, Arrival

#: Content types whose decoder runs whatever code the sender wrote into the message.
RUNS_CODE = {"application/x-python-serialize"}

#: Content types whose text may name a part again instead of repeating it: a line of it holds more
#: values than memory does.
REPEATS_BY_NAME = {"application/x-yaml"}

#: Memory an LZMA stream may ask for, in bytes; its strongest preset asks for 65 MiB.
LZMA_MEMORY = 100 * 1024 * 1024

#: The compressions that can be stopped in the middle, by the content types Kombu gives them.
STREAMS: Mapping[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
}

#: How many times as large as MAX_MESSAGE_BYTES a copy may be that we made ourselves: bytes have
#: become base64, numbers stand in full, the relay's time is added.
GROWTH = 8

#: What they raise over bytes that are not theirs.
BROKEN_STREAM = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class Packed(message.Message):  # type: ignore[misc]  # kombu is untyped
    """A message whose body stays as it came, packed.

    To be mixed into a transport's own message class, between it and Kombu's.
    """

    def __init__(self, *, headers: Any = None, **more: Any) -> None:
        headers = headers or {}
        read = {name: value for name, value in headers.items() if name != COMPRESSION}
        super().__init__(headers=read, **more)
        self.headers = headers


def limit(arrival: Arrival) -> int:
    """Return how many bytes a body may have, before it is unpacked and after."""
    ours = arrival.token is not None or REWRITTEN in arrival.headers
    return conf.current().max_message_bytes * (GROWTH if ours else 1)


def whole(arrival: Arrival) -> Arrival:
    """Return ``arrival`` with its body unpacked. Raises what ``unpacked`` does."""
    name = arrival.headers.get(COMPRESSION)
    if not name:  # as nearly always
        return arrival
    return replace(arrival, body=unpacked(arrival.body, name, limit(arrival)))


def unpacked(packed: bytes, name: Any, most: int) -> bytes:
    """Return a body as it was before it was compressed with what its header names, if anything.

    Raises NotAccepted for a compression we do not know, InvalidEnvelope for broken bytes and for
    what would have more than ``most`` bytes; no more than that is ever unpacked.
    """
    if not name:
        return packed
    stream = _stream(name)
    if stream is None:
        raise NotAccepted(f"The message is compressed with {json_text.shown(name)}; we read gzip, "
                          "bzip2 and lzma.")  # fmt: skip
    try:
        body: bytes = stream.decompress(packed, most + 1)
    except BROKEN_STREAM as error:
        raise InvalidEnvelope(f"The body is not {name}: {error}.") from error
    if len(body) > most:
        raise InvalidEnvelope(
            f"The body, {len(packed)} bytes of {name}, has more than {most} bytes when it "
            "is unpacked; MAX_MESSAGE_BYTES allows no more."
        )
    if not stream.eof or stream.unused_data:
        raise InvalidEnvelope(f"The body is {name} that {'goes on' if stream.eof else 'stops'} "
                              "where it should not.")  # fmt: skip
    return body


def deserialized(arrival: Arrival, accept: Sequence[str]) -> Any:
    """Read a body in a serializer of Kombu's that ``accept`` names.

    Raises NotAccepted for a content type it does not name, InvalidEnvelope for broken bytes and
    for bytes that stand for more than they hold.
    """
    accepted = serialization.prepare_accept_content(accept)
    if arrival.content_type not in accepted:
        raise NotAccepted(
            f"Content type {json_text.shown(arrival.content_type)} is not in "
            f"TASKROUTING['ACCEPT'] {list(accept)}."
        )
    try:
        # Some of Python's text codecs need time that grows with the square: no sender chooses one.
        value = serialization.loads(arrival.body, arrival.content_type, "utf-8", accept=accepted)
    except DecodeError as error:
        raise InvalidEnvelope(f"Not readable as {arrival.content_type}: {error}") from error
    if json_text.weighs_more(value, 2 * len(arrival.body)):
        raise InvalidEnvelope(f"Its {len(arrival.body)} bytes of {arrival.content_type} repeat "
                              "parts by name until they are larger than they look.")  # fmt: skip
    return value


def unknown_serializers(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that are no serializer."""
    return [name for name in names if not _content_types(name)]


def serializers_that_run_code(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` with which a sender can run code in the reader's process."""
    return [name for name in names if _content_types(name) & RUNS_CODE]


def serializers_that_repeat(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` in which few bytes can stand for very many values."""
    return [name for name in names if _content_types(name) & REPEATS_BY_NAME]


def is_compression(name: str) -> bool:
    """Say whether ``name`` is a compression that we write and read."""
    return _stream(name) is not None


def _stream(name: Any) -> Any:
    """Begin to unpack; ``None`` if we do not know how."""
    try:
        return STREAMS[compression.get_encoder(name)[1]]()
    except (KeyError, TypeError):
        return None


def _content_types(name: str) -> set[str]:
    try:
        return set(serialization.prepare_accept_content([name]))
    except SerializerNotInstalled:
        return set()
