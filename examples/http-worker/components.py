"""Components for a worker over HTTP: it may run on another machine, and goes on when a server ends."""

import os

import msgspec

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


class Letter(msgspec.Struct):
    to: str
    body: str


class Receipt(msgspec.Struct):
    blob_id: str
    process: int


@server.component
async def archive(input: Letter, context: StepflowContext) -> Receipt:
    """Keeps a letter as a blob of the server that asks."""
    return Receipt(blob_id=await context.put_blob(input), process=os.getpid())
