"""How the services tell what they do: structured logs and traces."""
