"""The same components for each package. argv names the package and the transport."""

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

F = TypeVar("F", bound=Callable[..., Any])

# For each package: the module of the server class, the module of blob types, and the error of a failed sub-flow.
PACKAGES = {
    "0.7.0": ("stepflow_py", "stepflow_py.context", "stepflow_py.exceptions", "StepflowFailed"),
    "0.9.2": (
        "stepflow_py.worker",
        "stepflow_py.worker.context",
        "stepflow_py.worker.exceptions",
        "StepflowFailed",
    ),
    "ours": ("stepflow.worker", "stepflow.protocol", "stepflow.worker", "FlowFailed"),
}

package, transport = sys.argv[1:]
*modules, failed = PACKAGES[package]
worker, types, errors = map(importlib.import_module, modules)
FlowFailed: type[Exception] = getattr(errors, failed)
server = worker.StepflowServer(include_builtins=True)


def component(name: str, description: str | None = None) -> Callable[[F], F]:
    """The decorator that all three packages have."""
    registers: Callable[[F], F] = server.component(name=name, description=description)
    return registers


class Terms(msgspec.Struct):
    a: int
    b: int


class Sum(msgspec.Struct):
    sum: int


@component("add", description="Adds a and b.")
def add(input: Terms) -> Sum:
    return Sum(input.a + input.b)


@component("fail")
def fail(input: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"no luck with {input['name']}")


# The published packages recognise a context only by its name.


@component("keep")
async def keep(input: dict[str, Any], context: Any) -> dict[str, Any]:
    blob_id = await context.put_blob(input)
    return {"blob_id": blob_id, "data": await context.get_blob(blob_id)}


@component("miss")
async def miss(input: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"data": await context.get_blob("0" * 64)}


@component("evaluate")
async def evaluate(input: dict[str, Any], context: Any) -> dict[str, Any]:
    flow_id = await context.put_blob(input["flow"], types.BlobType.flow)
    return {"output": await context.evaluate_flow_by_id(flow_id, input["input"])}


@component("evaluate_bad")
async def evaluate_bad(input: dict[str, Any], context: Any) -> dict[str, Any]:
    flow_id = await context.put_blob(input["flow"], types.BlobType.flow)
    try:
        return {"output": await context.evaluate_flow_by_id(flow_id, None)}
    except FlowFailed:
        return {"failed": True}


@component("evaluate_all")
async def evaluate_all(input: dict[str, Any], context: Any) -> dict[str, Any]:
    flow_id = await context.put_blob(input["flow"], types.BlobType.flow)
    # A run of many items was once called a batch.
    name = "evaluate_batch_by_id" if package == "0.7.0" else "evaluate_run_by_id"
    return {"outputs": await getattr(context, name)(flow_id, input["inputs"])}


@component("metadata")
async def metadata(input: dict[str, Any], context: Any) -> dict[str, Any]:
    found: dict[str, Any] = await context.get_metadata(input["step"])
    return found


@component("where")
async def where(input: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"step": context.step_id, "run": context.run_id, "attempt": context.attempt}


if transport == "stdio":
    server.start_stdio()
elif package == "0.7.0":
    asyncio.run(server.start_http(host="127.0.0.1", port=0))
else:
    asyncio.run(server.run(host="127.0.0.1", port=0))
