"""Inboxes: messages for agents that fetch them."""
