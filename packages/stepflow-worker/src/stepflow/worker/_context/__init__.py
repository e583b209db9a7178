"""What a component knows about its run, and what it may ask the server for."""
