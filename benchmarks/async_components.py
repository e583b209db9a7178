"""The trivial async component of the benchmarks."""

from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
async def echo(input: dict[str, int]) -> dict[str, int]:
    """Return the input, on the event loop."""
    return input
