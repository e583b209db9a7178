"""The trivial sync component of the benchmarks."""

from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
def echo(input: dict[str, int]) -> dict[str, int]:
    """Return the input, from a worker thread."""
    return input
