"""The HTTP service: authenticates, validates, writes tasks, answers queries."""
