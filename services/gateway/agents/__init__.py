"""Agents: made and shown."""
