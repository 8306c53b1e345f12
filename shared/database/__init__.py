"""The way to Postgres for hot statements: pools, named statements, and what an error of the database means."""
