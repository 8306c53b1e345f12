"""Fills a database with active tasks, as many as asked for."""

from datetime import datetime, timedelta

import asyncpg

AGENTS = 100
ROWS_AT_ONCE = 100_000
ZONES = (
    "UTC",
    "Europe/Chisinau",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
)

ADD_AGENTS = """
INSERT INTO agent (id, name, name_key, scopes)
SELECT uuidv7(), 'agent ' || n, 'agent ' || n, '{tasks:write}' FROM generate_series(1, $1::int) AS n
"""

# Every task's expression yields the minute at which its cursor stands: the wall of its zone says what it shows then.
# The creation times differ, as they would, so that no two recurrences are the same schedule.
ADD_TASKS = """
WITH agents AS MATERIALIZED (
    SELECT array_agg(id ORDER BY id) AS ids FROM agent
), placed AS MATERIALIZED (
    SELECT n,
           uuidv7() AS id,
           agents.ids[1 + n % array_length(agents.ids, 1)] AS agent_id,
           ($3::text[])[1 + (n / $6) % array_length($3::text[], 1)] AS zone,
           CASE WHEN n % $6 < $5 THEN $4::timestamptz + (n % $6) * interval '1 minute'
                ELSE $4::timestamptz + interval '1 day' + (n % 43200) * interval '1 minute' END AS next_at
      FROM generate_series($1::int, $2::int) AS n, agents
), written AS MATERIALIZED (
    SELECT *, next_at AT TIME ZONE zone AS wall FROM placed
), made AS (
    INSERT INTO task (id, agent_id, title, schedule_kind, schedule_expr, timezone, anchor_at, payload, tags)
    SELECT id, agent_id, 'Task number ' || n,
           CASE n / 7 % 10 WHEN 0 THEN 'rrule' ELSE 'cron' END,
           to_char(wall, CASE n / 7 % 10
               WHEN 0 THEN '"FREQ=DAILY;BYHOUR="FMHH24";BYMINUTE="FMMI";BYSECOND=0"'
               WHEN 1 THEN 'FMMI FMHH24 "* *" "MON-SUN"'
               WHEN 2 THEN 'FMMI FMHH24 FMDD "* *"'
               WHEN 3 THEN 'FMMI "* * * *"'
               WHEN 4 THEN 'FMMI FMHH24 "* "FMMM" *"'
               ELSE 'FMMI FMHH24 "* * *"' END),
           zone, $4::timestamptz - n * interval '7 s',
           jsonb_build_object('pipeline', jsonb_build_array(jsonb_build_object(
               'id', 'call', 'uses', 'http.request',
               'with', jsonb_build_object('url', 'https://example.com/hook', 'json', jsonb_build_object('n', n))))),
           '{bench}'
      FROM written
)
INSERT INTO schedule_cursor (task_id, schedule_rev, next_at) SELECT id, 1, next_at FROM written
"""


async def add_agents(connection: asyncpg.Connection) -> None:
    await connection.execute(ADD_AGENTS, AGENTS)


async def add_tasks(
    connection: asyncpg.Connection, have: int, want: int, *, first_minute: datetime, minutes: int, groups: int
) -> None:
    """From `have` to `want` tasks. One in `groups` is due in each of the `minutes` from the first one on; the others
    are spread over a month that begins a day later. Agents are there already."""
    # Foreign keys would be asked for each row what is true of all.
    await connection.execute("SET session_replication_role = replica")
    for start in range(have, want, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, want) - 1
        await connection.execute(ADD_TASKS, start, end, ZONES, first_minute, minutes, groups, timeout=300)
    await connection.execute("RESET session_replication_role")
    await connection.execute("VACUUM (ANALYZE) task, schedule_cursor", timeout=300)


def minute(first: datetime, number: int) -> datetime:
    return first + timedelta(minutes=number)
