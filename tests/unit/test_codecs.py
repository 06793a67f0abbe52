"""Is what arrives packed, or in another serializer, read within bounds?"""

from __future__ import annotations

import bz2
import lzma
import tracemalloc
import zlib
from typing import Any

import pytest

from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from taskrouting.transport import codecs
from tests.integration.copies import arrival

LIMIT = 100_000

PACK = {
    "application/x-gzip": zlib.compress,
    "application/x-bz2": bz2.compress,
    "application/x-lzma": lzma.compress,
}
packings = pytest.mark.parametrize("name", PACK)


def unpacked(body: bytes, compression: Any) -> bytes:
    """Unpack a body that its header calls compressed."""
    return codecs.unpacked(body, compression, LIMIT)


@packings
def test_what_is_as_large_as_allowed_is_unpacked(name):
    """The limit itself is allowed, and a byte more is not."""
    assert unpacked(PACK[name](bytes(LIMIT)), name) == bytes(LIMIT)
    with pytest.raises(InvalidEnvelope, match="more than 100000 bytes when it is unpacked"):
        unpacked(PACK[name](bytes(LIMIT + 1)), name)


@packings
def test_a_bomb_is_never_held_in_memory(name):
    """A hundred megabytes, packed small: no more than the limit is unpacked to find out."""
    bomb = PACK[name](bytes(1000 * LIMIT))
    assert len(bomb) <= LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(InvalidEnvelope, match="MAX_MESSAGE_BYTES"):
            unpacked(bomb, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100 * LIMIT  # LZMA has a dictionary of 8 MiB, whatever it unpacks


def test_a_stream_cannot_ask_for_memory_without_end():
    """LZMA's header names a dictionary, of gigabytes if its writer likes."""
    greedy = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    bomb = lzma.compress(b"{}", filters=greedy)

    with pytest.raises(InvalidEnvelope, match="Memory usage limit"):
        unpacked(bomb, "application/x-lzma")


@packings
@pytest.mark.parametrize("broken", ["", "cut", "more", "changed"])
def test_broken_streams_are_no_bodies(name, broken):
    """Cut short, followed by something, changed in the middle: each says so and raises the same."""
    whole = PACK[name](bytes(range(256)) * 10)
    middle = len(whole) // 2
    body = {
        "": b"{}",
        "cut": whole[:-5],
        "more": whole + b"more",
        "changed": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
    }[broken]

    with pytest.raises(InvalidEnvelope, match=r"The body is (not )?application/x-"):
        unpacked(body, name)


@pytest.mark.parametrize("name", ["rar", "application/x-brotli", ["gzip"], {"a": 1}, 7])
def test_a_compression_we_do_not_know_is_not_accepted(name):
    """Whatever stands in the header: we say what we read."""
    with pytest.raises(NotAccepted, match="we read gzip, bzip2 and lzma"):
        unpacked(b"{}", name)


@pytest.mark.parametrize("name", [None, "", {}])
def test_without_the_header_the_body_is_what_it_is(name):
    """No compression is named: nothing is unpacked."""
    assert unpacked(b"{}", name) == b"{}"


def deserialized(body: bytes, content_type: str = "application/x-yaml", **more: Any) -> Any:
    """Read a body where JSON and YAML are accepted."""
    came = arrival(body, content_type=content_type, **more)
    return codecs.deserialized(came, ["json", "yaml"])


def test_only_what_accept_names_is_deserialized():
    """Not even the types that Kombu trusts by itself."""
    assert deserialized(b"a: [1, 2]") == {"a": [1, 2]}
    for refused in ("application/data", "application/x-python-serialize", None, "a/b"):
        with pytest.raises(NotAccepted, match="is not in TASKROUTING"):
            deserialized(b"a", refused)


def test_no_sender_chooses_the_codec():
    """Python has text codecs whose time grows with the square of the length."""
    accept = ["json", "text/plain"]
    came = arrival(b"bcher-kva", content_type="text/plain", content_encoding="punycode")

    assert codecs.deserialized(came, accept) == "bcher-kva"


REPEATS = {
    "lists in lists": b"a: &a [x, x]\n"
    + b"\n".join(b"%c: &%c [*%c, *%c]" % (c + 1, c + 1, c, c) for c in b"abcdefghijklmnopqrstuvw"),
    "a list that holds itself": b"&a [*a, *a]",
    "a dict that holds itself": b"&a {x: *a, y: *a}",
    "a long text, many times": b"a: &a " + b"x" * 1000 + b"\nb: [" + b"*a, " * 1000 + b"]",
}


@pytest.mark.parametrize("body", REPEATS.values(), ids=REPEATS.keys())
def test_what_repeats_itself_by_name_is_not_followed(body):
    """A few bytes of YAML hold more values than can be counted; nobody tries."""
    with pytest.raises(InvalidEnvelope, match="larger than they look"):
        deserialized(body)


def test_what_repeats_itself_a_little_is_read():
    """An anchor here and there is what YAML has them for."""
    assert deserialized(b"first: &a {title: Bunny}\nsecond: *a") == {
        "first": {"title": "Bunny"},
        "second": {"title": "Bunny"},
    }
