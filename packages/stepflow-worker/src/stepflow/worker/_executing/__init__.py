"""How executes run: how many at once, on which thread or loop, and how they are ended."""
