"""Spans of executes, where OpenTelemetry is installed and set up."""
