"""Who calls: tokens, and the agents that hold them."""
