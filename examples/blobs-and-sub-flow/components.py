"""A component that stores a blob and runs a flow, and the component that this flow calls."""

import asyncio

import msgspec

from stepflow.worker import FlowBuilder, StepflowContext, StepflowServer, Value

server = StepflowServer()


class Texts(msgspec.Struct):
    texts: list[str]


class Summary(msgspec.Struct):
    words: int
    blob_id: str


@server.component
def count_words(input: str) -> int:
    return len(input.split())


builder = FlowBuilder(name="count")
words = builder.add_step(id="words", component="/python/count_words", input_data=Value.input())
builder.set_output(words)
count = builder.build()


@server.component
async def summarize(input: Texts, context: StepflowContext) -> Summary:
    """Counts the words of all texts side by side, and keeps the single counts as a blob."""
    counts = await asyncio.gather(*(context.evaluate_flow(count, text) for text in input.texts))
    return Summary(words=sum(counts), blob_id=await context.put_blob(counts))
