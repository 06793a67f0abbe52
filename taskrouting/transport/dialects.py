"""In which words do the databases differ, where the store and the ledger speak SQL?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few words in which the databases differ. ``later`` takes seconds as a parameter."""

    now: str
    later: str
    skip_locked: str

    #: Seconds from now until the instant that ``{}`` stands for.
    until: str

    #: Now, rounded down to ``{0}`` seconds.
    floored: str


DIALECTS = {
    "postgresql": Dialect(
        "statement_timestamp()",
        "statement_timestamp() + make_interval(secs => %s)",
        "FOR UPDATE SKIP LOCKED",
        "extract(epoch FROM {} - statement_timestamp())",
        "to_timestamp(floor(extract(epoch FROM statement_timestamp()) / {0}) * {0})",
    ),
    # One writer at a time: the UPDATE takes the write lock before it reads.
    "sqlite": Dialect(
        "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s || ' seconds')",
        "",
        # Instants are kept to the millisecond; a julian day as a double is only 40 µs fine.
        "round((julianday({}) - julianday('now')) * 86400.0, 3)",
        "strftime('%%Y-%%m-%%d %%H:%%M:%%S', strftime('%%s', 'now') / {0} * {0}, 'unixepoch')",
    ),
}
