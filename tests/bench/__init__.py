"""Measures the system on the machine it runs on: one file per question, answered by `python -m tests.bench`."""
