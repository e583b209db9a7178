"""Serving over stdin and stdout."""
