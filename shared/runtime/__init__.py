"""What every process does alike: read settings, start, loop, tell that it lives, stop."""
