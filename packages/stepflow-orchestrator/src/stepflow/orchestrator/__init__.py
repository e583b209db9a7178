"""Find and start the Stepflow server that this distribution ships."""

from stepflow.orchestrator._find_binary import BinaryNotFound, find_server_binary

__all__ = ["BinaryNotFound", "find_server_binary"]
