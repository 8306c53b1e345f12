"""PURE: what each tool of a pipeline is called, takes and gives; the executor acts, the gateway checks and shows."""
