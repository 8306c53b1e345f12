"""Secrets of agents: what a name may be, how values are sealed, and how they get under a new key."""
