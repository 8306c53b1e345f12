"""Pipelines before they are stored, and the tools that their steps can use."""
