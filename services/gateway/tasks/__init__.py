"""Tasks: created, changed, paused, resumed, canceled and run at once."""
