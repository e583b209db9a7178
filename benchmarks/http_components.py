"""The trivial components of the HTTP benchmark."""

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
async def echo(input: dict[str, int]) -> dict[str, int]:
    """Return the input."""
    return input


@server.component
async def keep(input: dict[str, int], context: StepflowContext) -> dict[str, int]:
    """Return the input by way of a blob: two requests of the component's own, on its stream."""
    kept: dict[str, int] = await context.get_blob(await context.put_blob(input))
    return kept
