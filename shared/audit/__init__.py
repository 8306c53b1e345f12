"""PURE: how the audit trail is sealed: the form in which entries are hashed, and the chain of their seals."""
