"""Secrets: set, listed by name and deleted, and never shown."""
