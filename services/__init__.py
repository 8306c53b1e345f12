"""The three deployables. None imports another; they meet in Postgres and Redis Streams only."""
