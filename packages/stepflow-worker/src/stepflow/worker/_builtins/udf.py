"""The component `/udf`: runs functions whose code comes from blobs."""

import inspect
import threading
from functools import partial
from typing import Any

import msgspec

from stepflow.worker._builtins.udf_code import UdfFunction, compile_udf, forget
from stepflow.worker._context.context import StepflowContext
from stepflow.worker._executing.in_thread import in_thread
from stepflow.worker.errors import InvalidCode, InvalidInput

KEPT = 256
"""How many compiled functions a process keeps; the least recently used one is dropped first."""


class UdfInput(msgspec.Struct):
    """The input of a step of `/udf`."""

    blob_id: str
    input: Any


class UdfBlob(msgspec.Struct):
    """The content of a user-defined function's blob."""

    code: str
    input_schema: dict[str, Any]
    function_name: str | None = None


async def udf(input: UdfInput, context: StepflowContext) -> Any:
    """Execute Python code: the function in the blob `blob_id`, called with `input`.

    The code runs in this worker's process with all its rights; it is not confined. The blob holds
    `{code, input_schema, function_name?}`, and `input` must fit that schema.
    """
    function = _cache.get(input.blob_id)
    if function is None:
        blob = await context.get_blob(input.blob_id)
        # In a thread: the code's imports may take long.
        function = await in_thread(partial(Udf, input.blob_id, blob))
        _cache.put(input.blob_id, function)
    return await function.call(input.input, context)


class Udf:
    """A function from a blob, with the schema of its input."""

    def __init__(self, blob_id: str, blob: object) -> None:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry

        self._blob_id = blob_id
        try:
            read = msgspec.convert(blob, UdfBlob)
        except msgspec.ValidationError as error:
            raise InvalidCode(blob_id, f"{error}; it must be {{code, input_schema}}") from None
        kind = validator_for(read.input_schema)
        try:
            kind.check_schema(read.input_schema)
        except SchemaError as error:
            where = error.json_path.replace("$", "$.input_schema", 1)
            raise InvalidCode(blob_id, f"`{where}` is no JSON Schema: {error.message}") from None
        # With an empty registry it does not fetch a `$ref` from the network.
        self._schema = kind(read.input_schema, registry=Registry())
        self._function: UdfFunction = compile_udf(blob_id, read.code, read.function_name)

    async def call(self, input: Any, context: StepflowContext) -> Any:
        """Call the function: a plain one in a thread, an async one here.

        Raises `InvalidInput`, with its place, for an input that does not fit the schema.
        """
        if self._function.is_async:
            # The check may take long with a large input.
            output = self._function(await in_thread(partial(self._checked, input)), context)
        else:
            output = await in_thread(partial(self._checked_and_called, input, context))
        if inspect.isawaitable(output):
            output = await output
        if hasattr(output, "ainvoke"):
            from stepflow.worker.langchain import invoke

            output = await invoke(output, self._function.value_of(input), context)
        return output

    def _checked_and_called(self, input: Any, context: StepflowContext) -> Any:
        return self._function(self._checked(input), context)

    def _checked(self, input: Any) -> Any:
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            problem = best_match(self._schema.iter_errors(input))
        except Unresolvable as error:
            reason = f"`$ref: {error.ref}` in its `$.input_schema` leads nowhere"
            raise InvalidCode(self._blob_id, reason) from None
        if problem is not None:
            where = problem.json_path.replace("$", "$.input", 1)
            raise InvalidInput("/udf", where, problem.message)
        return self._function.value_of(input)


class _FunctionCache:
    """The functions that were used last, by the ids of their blobs. A blob never changes, so they stay valid."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._by_id: dict[str, Udf] = {}

    def get(self, blob_id: str) -> Udf | None:
        with self._lock:
            found = self._by_id.pop(blob_id, None)
            if found is not None:
                self._by_id[blob_id] = (
                    found  # so that the last entry of the dict is the one that was used last
                )
            return found

    def put(self, blob_id: str, function: Udf) -> None:
        with self._lock:
            self._by_id[blob_id] = function
            if len(self._by_id) > self._limit:
                oldest = next(iter(self._by_id))
                del self._by_id[oldest]
                forget(oldest)


_cache = _FunctionCache(KEPT)
