"""Redis Streams. They carry no truth: whatever they lose, the tables still know."""
