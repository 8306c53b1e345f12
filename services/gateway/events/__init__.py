"""Events: published for all who listen."""
