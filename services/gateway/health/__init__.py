"""Whether this process lives and whether the whole system works."""
