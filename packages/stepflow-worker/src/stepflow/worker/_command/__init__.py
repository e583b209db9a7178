"""The command `stepflow-worker`: what it serves, lists and reloads."""
