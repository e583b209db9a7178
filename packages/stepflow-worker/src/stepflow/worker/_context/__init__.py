"""What a component sees of its run, and may ask of the server."""
