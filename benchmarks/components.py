"""The trivial components of the benchmarks."""

from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
def sync_echo(input: dict[str, int]) -> dict[str, int]:
    """Returns its input, from a worker thread."""
    return input


@server.component
async def async_echo(input: dict[str, int]) -> dict[str, int]:
    """Returns its input, on the loop."""
    return input
