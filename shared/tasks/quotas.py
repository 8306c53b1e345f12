"""PURE: what an agent's own limits and its scopes mean for its tasks."""

from shared.vocabulary.limits import MIN_INTERVAL_SECONDS_ADMIN, MIN_INTERVAL_SECONDS_DEFAULT


def shortest_interval_seconds(own_limit: int | None, *, is_admin: bool) -> int:
    """Between two occurrences of a schedule. `own_limit`: what an admin has set for this agent."""
    if own_limit is not None:
        return own_limit
    return MIN_INTERVAL_SECONDS_ADMIN if is_admin else MIN_INTERVAL_SECONDS_DEFAULT
