"""The trivial components of the HTTP benchmark."""

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@server.component
async def echo(input: dict[str, int]) -> dict[str, int]:
    """Return the input."""
    return input


@server.component
async def keep(input: dict[str, int], context: StepflowContext) -> dict[str, int]:
    """Return the input after storing and reading it as a blob: two requests on the stream."""
    kept: dict[str, int] = await context.get_blob(await context.put_blob(input))
    return kept
