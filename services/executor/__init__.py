"""Leases due work, runs it, and records what became of it."""
