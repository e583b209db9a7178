"""Spans around executes, if OpenTelemetry is installed and set up."""
