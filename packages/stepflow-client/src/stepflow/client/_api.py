"""Describes each route: what to send, and the model that reads the answer. It sends nothing itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, JsonValue

from stepflow.client.models import HealthResponse, Run, StoreFlowResponse
from stepflow.protocol.flow import Flow, to_json

Answer = TypeVar("Answer", bound=BaseModel)

FlowDocument = Flow | Mapping[str, JsonValue] | str
"""A `Flow`, a mapping, or the text of a YAML or JSON document. Only for a text do diagnostics have lines."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request to the server."""

    method: str
    path: str
    answer: type[Answer]
    body: dict[str, JsonValue] | None = None
    params: Mapping[str, str] | None = None
    waits: bool = False
    """Whether the server answers only when the run has ended, or the time to wait is over."""


def health() -> Call[HealthResponse]:
    return Call("GET", "/health", HealthResponse)


def store_flow(flow: FlowDocument, dry_run: bool) -> Call[StoreFlowResponse]:
    body: dict[str, JsonValue] = {"flow": _document(flow)}
    if dry_run:
        body["dryRun"] = True
    return Call("POST", "/flows", StoreFlowResponse, body)


def create_run(
    flow_id: str | None,
    flow: FlowDocument | None,
    input: JsonValue,
    inputs: Sequence[JsonValue] | None,
    variables: Mapping[str, JsonValue] | None,
    max_concurrency: int | None,
    wait: bool,
    timeout_secs: int | None,
) -> Call[Run]:
    if (flow_id is None) == (flow is None):
        raise TypeError("`run` takes either `flow_id` or `flow`")
    if input is not None and inputs is not None:
        raise TypeError("`run` takes either `input`, for one item, or `inputs`, for many")
    # The API takes only lists. A single input that is a list becomes a list within a list.
    body: dict[str, JsonValue] = {"input": [input] if inputs is None else list(inputs)}
    if flow_id is not None:
        body["flowId"] = flow_id
    if flow is not None:
        body["flow"] = _document(flow)
    if variables is not None:
        body["variables"] = dict(variables)
    if max_concurrency is not None:
        body["maxConcurrency"] = max_concurrency
    if wait:
        body["wait"] = True
    if timeout_secs is not None:
        body["timeoutSecs"] = timeout_secs
    return Call("POST", "/runs", Run, body, waits=wait)


def get_run(run_id: UUID | str, wait: bool, timeout_secs: int | None) -> Call[Run]:
    params = {}
    if wait:
        params["wait"] = "true"
    if timeout_secs is not None:
        params["timeoutSecs"] = str(timeout_secs)
    return Call("GET", f"/runs/{quote(str(run_id), safe='')}", Run, params=params, waits=wait)


def _document(flow: FlowDocument) -> JsonValue:
    if isinstance(flow, Flow):
        document: JsonValue = json.loads(to_json(flow))
        return document
    return flow if isinstance(flow, str) else dict(flow)
