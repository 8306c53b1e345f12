"""Statistics: what the runs of a period came to."""
