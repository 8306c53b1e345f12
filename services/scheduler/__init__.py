"""Turns schedules into due work shortly ahead of time, and rings when work is due."""
