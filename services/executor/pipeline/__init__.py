"""Runs the steps of a task: what was finished is not repeated, what was begun is begun again under the same key."""
