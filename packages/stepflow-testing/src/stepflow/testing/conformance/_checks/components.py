"""Components: how a worker describes what it serves."""

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import brief, ensure, equal, error, result
from stepflow.testing.conformance._failures import Inapplicable
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Json, Worker

_MEMBERS = ("component", "description", "input_schema", "output_schema")


def listed(worker: Worker) -> list[Json]:
    """Return the list of `components/list`. Raises `Broken` if it is not a list."""
    components = result(worker.request(Method.components_list)).get("components")
    ensure(isinstance(components, list), f"`components` is not a list: {brief(components)}")
    assert isinstance(components, list)
    return components


def _a_path(worker: Worker) -> str:
    for path in worker.known.paths:
        if "{" not in path:
            return path
    raise Inapplicable("the worker serves no component under a plain path")


def _is_schema(value: Json) -> bool:
    return value is None or isinstance(value, dict | bool)


@rule("components.list")
def list_(worker: Worker) -> None:
    """The list has every component once, with its path and its schemas, if these are known."""
    paths = []
    for each in listed(worker):
        ensure(isinstance(each, dict), f"an entry of the list is not an object: {brief(each)}")
        path = each.get("component")
        ensure(isinstance(path, str) and path.startswith("/"), f"a path is {brief(path)}")
        description = each.get("description")
        ensure(description is None or isinstance(description, str), f"{path}: bad description")
        for name in ("input_schema", "output_schema"):
            ensure(_is_schema(each.get(name)), f"{path}: `{name}` is {brief(each.get(name))}")
        paths.append(path)
    twice = {path for path in paths if paths.count(path) > 1}
    ensure(not twice, f"listed more than once: {', '.join(sorted(twice))}")


@rule("components.info")
def info(worker: Worker) -> None:
    """`components/info` describes a component as the list does."""
    path = _a_path(worker)
    described = result(worker.request(Method.components_info, {"component": path})).get("info")
    ensure(isinstance(described, dict), f"`info` is not an object: {brief(described)}")
    assert isinstance(described, dict)
    in_list = next(each for each in listed(worker) if each.get("component") == path)
    for name in _MEMBERS:
        equal(described.get(name), in_list.get(name), f"`{name}` of `{path}`")


@rule("components.infoUnknown")
def info_unknown(worker: Worker) -> None:
    """`components/info` of an unknown component is refused -32001."""
    answer = worker.request(Method.components_info, {"component": "/no/such/component"})
    error(answer, ErrorCode.COMPONENT_NOT_FOUND)


@rule("components.inferSchema")
def infer_schema(worker: Worker) -> None:
    """`components/infer_schema` is answered with a schema, with none, or with -32601."""
    params = {"component": _a_path(worker), "input_schema": {}}
    answer = worker.request(Method.components_infer_schema, params)
    if "error" in answer:
        error(answer, ErrorCode.METHOD_NOT_FOUND)
        return
    schema = result(answer).get("output_schema")
    ensure(_is_schema(schema), f"`output_schema` is {brief(schema)}")
