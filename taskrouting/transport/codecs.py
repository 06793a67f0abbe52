"""Which serializers and compressions does Kombu know under these names?"""

from __future__ import annotations

from collections.abc import Iterable

from kombu import compression, serialization
from kombu.exceptions import SerializerNotInstalled

#: Content types whose decoder runs whatever code the sender wrote into the message.
RUNS_CODE = {"application/x-python-serialize"}


def unknown_serializers(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that are no serializer."""
    return [name for name in names if not _content_types(name)]


def serializers_that_run_code(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` with which a sender can run code in the reader's process."""
    return [name for name in names if _content_types(name) & RUNS_CODE]


def is_compression(name: str) -> bool:
    """Say whether ``name`` is a compression that is installed."""
    try:
        compression.get_encoder(name)
    except KeyError:
        return False
    return True


def _content_types(name: str) -> set[str]:
    try:
        return set(serialization.prepare_accept_content([name]))
    except SerializerNotInstalled:
        return set()
