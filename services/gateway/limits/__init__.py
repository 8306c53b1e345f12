"""How often: rates of requests, of creations and of failed authentication, over all gateways."""
