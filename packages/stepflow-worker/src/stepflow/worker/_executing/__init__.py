"""How executes run: which at once, on which thread or loop, and how they are ended."""
