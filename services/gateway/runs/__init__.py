"""Runs: what became of each occurrence."""
