"""Approvals: steps that wait for somebody's decision."""
