"""What happens, as it happens: streams of runs and of events."""
