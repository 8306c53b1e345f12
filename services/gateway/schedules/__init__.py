"""Schedules seen: before they are saved, ahead of now, and afterwards."""
