"""The words of the system as types: states, ids, scopes, faults, limits. Imports nothing of the project."""
