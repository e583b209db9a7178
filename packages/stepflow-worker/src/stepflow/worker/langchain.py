"""LangChain runnables as components: loaded from a flow, named by a flow, or made by a function."""

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from stepflow.worker._context.context import StepflowContext
from stepflow.worker.errors import ComponentError, RegistrationError

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

Config = dict[str, Any]
MakeRunnable: TypeAlias = "Callable[[], Runnable[Any, Any]]"


class RunnableCall(msgspec.Struct):
    """The input of a step that calls a runnable.

    config: LangChain's config, `{tags: […], metadata: {…}}`.
    """

    input: Any
    config: Config | None = None
    execution_mode: Literal["invoke"] = "invoke"


class LoadedCall(RunnableCall, kw_only=True):
    """The input of a step of `/langchain/invoke`, with the runnable as LangChain's `dumpd` writes it."""

    runnable_definition: dict[str, Any]


class NamedCall(RunnableCall, kw_only=True):
    """The input of a step of `invoke_named`, with the runnable's name, `module.attribute`."""

    import_path: str


async def invoke_loaded(input: LoadedCall, context: StepflowContext) -> Any:
    """Invoke a LangChain runnable that the step's input holds in its serialised form.

    This makes any object that LangChain can load, with the rights of this worker's process.
    """
    # In a thread: loading imports the modules that the definition names, which may take long.
    runnable = await asyncio.to_thread(_loaded, input.runnable_definition)
    return await invoke(runnable, input.input, context, input.config)


async def invoke(
    runnable: Any, input: Any, context: StepflowContext, config: Config | None = None
) -> Any:
    """Invoke a runnable and return its output. Messages and prompts in the output become JSON, as pydantic models do.

    The runnable gets the context in its config, as `metadata["stepflow_context"]`.
    """
    metadata = {**((config or {}).get("metadata") or {}), "stepflow_context": context}
    output = await runnable.ainvoke(input, {**(config or {}), "metadata": metadata})
    return output


def runnable_component(make: MakeRunnable) -> Callable[..., Any]:
    """Call `make`, and return a component's function that invokes the runnable that it has returned.

    Raises `RegistrationError` when it is not a runnable, or LangChain is not installed.
    """
    try:
        from langchain_core.runnables import Runnable
    except ModuleNotFoundError as error:
        raise RegistrationError(
            make.__name__,
            f"it needs `{error.name}`, which is not installed\n"
            "hint: pip install 'stepflow-worker[langchain]'",
        ) from None

    runnable = make()
    if not isinstance(runnable, Runnable):
        kind = type(runnable).__name__
        problem = f"it returned a `{kind}`, where a LangChain runnable is needed"
        raise RegistrationError(make.__name__, problem)

    async def call(input: RunnableCall, context: StepflowContext) -> Any:
        return await invoke(runnable, input.input, context, input.config)

    call.__name__, call.__doc__ = make.__name__, make.__doc__
    return call


async def invoke_named(input: NamedCall, context: StepflowContext) -> Any:
    """Invoke the LangChain runnable that a module of the worker defines, by `import_path`."""
    runnable = await asyncio.to_thread(runnable_at, input.import_path)
    return await invoke(runnable, input.input, context, input.config)


def runnable_at(import_path: str) -> "Runnable[Any, Any]":
    """Return the runnable that `module.attribute` names. Raises `ComponentError` if there is none."""
    from langchain_core.runnables import Runnable

    module, _, attribute = import_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ComponentError(f"`{import_path}` leads to no runnable: {error}") from error
    if not isinstance(found, Runnable):
        raise ComponentError(
            f"`{import_path}` is a `{type(found).__name__}`, no LangChain runnable"
        )
    return found


def _loaded(definition: dict[str, Any]) -> "Runnable[Any, Any]":
    from langchain_core._api import suppress_langchain_beta_warning
    from langchain_core.load import load
    from langchain_core.runnables import Runnable

    try:
        with suppress_langchain_beta_warning():
            found = load(definition, allowed_objects="all")
    except (ValueError, NotImplementedError, ImportError) as error:
        raise ComponentError(f"`$.runnable_definition` cannot be loaded: {error}") from error
    if not isinstance(found, Runnable):
        kind = type(found).__name__
        raise ComponentError(f"`$.runnable_definition` is a `{kind}`, no LangChain runnable")
    return found
