"""Events: published once, with work for every task that listens; told to Redis after the commit."""
