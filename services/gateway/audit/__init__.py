"""Who changed what: one entry for each accepted change, in its transaction."""
