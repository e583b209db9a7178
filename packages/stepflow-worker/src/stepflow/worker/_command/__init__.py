"""The command `stepflow-worker`: its options, the import of the TARGET, `--list` and `--reload`."""
