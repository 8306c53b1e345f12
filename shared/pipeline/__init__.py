"""PURE: whether a pipeline can be executed, as far as its text tells, and how it looks with sample values."""
