"""How does a broker differ from what the code declares? The answer, in words that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskrouting.routing.topology import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a broker differs from what the code declares."""

    #: What the code declares and the broker lacks: ``"queue 'video_queue'"``.
    missing: tuple[str, ...] = ()

    #: What exists with other arguments: ``"queue 'video_queue'"``, and a sentence that says how to
    #: get out of it.
    conflicts: Mapping[str, str] = field(default_factory=dict)

    #: Bindings of our queues that the code no longer declares.
    left_over: tuple[Binding, ...] = ()

    #: Bindings that others have made on our exchange; they are none of our business.
    foreign: tuple[Binding, ...] = ()

    #: What this broker cannot tell; each a sentence.
    unchecked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether anything differs, as far as the broker can tell."""
        return bool(self.missing or self.conflicts or self.left_over)


def describe(found: Drift) -> dict[str, Any]:
    """Say it in values that JSON has."""
    return {
        "differs": bool(found),
        "missing": list(found.missing),
        "conflicts": dict(found.conflicts),
        "left_over": _plain(found.left_over),
        "foreign": _plain(found.foreign),
        "unchecked": list(found.unchecked),
    }


def exchange_named(name: str) -> str:
    """Name an exchange."""
    return f"exchange {name!r}"


def queue_named(name: str) -> str:
    """Name a queue."""
    return f"queue {name!r}"


def binding_named(binding: Binding) -> str:
    """Name a binding."""
    return f"binding {shown(binding)}"


def shown(binding: Binding) -> str:
    """Write a binding as people read it."""
    return f"{binding.pattern!r} → {binding.queue!r}"


def _plain(bindings: Iterable[Binding]) -> list[dict[str, str]]:
    return [{"pattern": each.pattern, "queue": each.queue} for each in bindings]
