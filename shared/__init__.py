"""What the three services have in common. It knows no service."""
