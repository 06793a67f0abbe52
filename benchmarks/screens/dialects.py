"""In which words does each database make rows? Only where the two differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is said in one database's own words."""

    #: Before and after the filling.
    before: tuple[str, ...]
    after: tuple[str, ...]

    #: The statements that make the indexes which are no constraint, of the table ``{}``.
    indexes: str

    #: An instant that many seconds ago, a JSON value, bytes.
    ago: str
    json: str
    bytes: str


POSTGRESQL = Dialect(
    before=(
        # Nothing here must survive a crash.
        "ALTER TABLE taskrouting_auditlog SET UNLOGGED",
        "ALTER TABLE taskrouting_delivery SET UNLOGGED",
        "SET maintenance_work_mem = '1GB'",
    ),
    after=("VACUUM ANALYZE",),
    indexes="SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{0}' AND indexname "
    "NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = '{0}'::regclass)",
    ago="(now() - ({}) * interval '1 second')",
    json="CAST({} AS jsonb)",
    bytes="convert_to({}, 'UTF8')",
)
SQLITE = Dialect(
    before=(),
    after=("ANALYZE",),
    indexes="SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{0}' "
    "AND sql IS NOT NULL AND name NOT LIKE '%_once'",
    ago="strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || ({}) || ' seconds')",
    json="{}",
    bytes="CAST({} AS BLOB)",
)
