"""What is served: functions with their paths, types and limits."""
