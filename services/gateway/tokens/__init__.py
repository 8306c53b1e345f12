"""Tokens of agents: made, listed, rotated, revoked."""
