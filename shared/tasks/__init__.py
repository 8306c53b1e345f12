"""What creating a task needs, whoever creates it: a client of the API, or a step of another task."""
