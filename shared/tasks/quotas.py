"""PURE: what an agent's own limits and its scopes mean for what it may do."""

import msgspec

from shared.vocabulary.limits import MIN_INTERVAL_SECONDS_ADMIN, MIN_INTERVAL_SECONDS_DEFAULT, TASKS_PER_AGENT


class OwnLimits(msgspec.Struct, frozen=True):
    """What an admin has set for one agent. None: the system's default, or no limit where there is none."""

    active_tasks: int | None = None
    min_interval_seconds: int | None = None
    runs_per_day: int | None = None
    requests_per_minute: int | None = None
    task_creations_per_hour: int | None = None


NO_OWN_LIMITS = OwnLimits()


def shortest_interval_seconds(own_limit: int | None, *, is_admin: bool) -> int:
    """Between two occurrences of a schedule. `own_limit`: what an admin has set for this agent."""
    if own_limit is not None:
        return own_limit
    return MIN_INTERVAL_SECONDS_ADMIN if is_admin else MIN_INTERVAL_SECONDS_DEFAULT


def most_active_tasks(own_limit: int | None) -> int:
    return TASKS_PER_AGENT if own_limit is None else own_limit
