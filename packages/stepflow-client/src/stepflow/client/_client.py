"""The two clients: the same methods, one blocking and one for `async` code."""

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx
from pydantic import JsonValue

from stepflow.client import _api
from stepflow.client._api import FlowDocument
from stepflow.client._http import PREFIX, send, send_async
from stepflow.client.models import HealthResponse, Run, StoreFlowResponse

_DEFAULT_URL = "http://127.0.0.1:7840"


def _base_url(url: str | None) -> str:
    """Return the server's base URL. It may be given with the API's prefix, and without `http://`."""
    url = (url or os.environ.get("STEPFLOW_URL") or _DEFAULT_URL).rstrip("/").removesuffix(PREFIX)
    return url if "://" in url else f"http://{url}"


def _headers(token: str | None) -> dict[str, str]:
    token = token or os.environ.get("STEPFLOW_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


class StepflowClient:
    """A connection to a Stepflow server. Close it, or use it in a `with` block.

    url: the server's address; by default `$STEPFLOW_URL`, or http://127.0.0.1:7840 without that.
    token: the bearer token; by default `$STEPFLOW_TOKEN`, or none without that.
    timeout: how long connecting, sending and reading may each take, in seconds. With `wait=True`
    reading has no limit here: the server limits the wait.
    transport: replaces the network, for tests.

    Every method raises `ConnectionFailed`, `UnexpectedAnswer` or an `ApiError`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=_base_url(url), headers=_headers(token), timeout=timeout, transport=transport
        )

    def health(self) -> HealthResponse:
        """Ask whether the server is alive."""
        return send(self._http, _api.health())

    def store_flow(self, flow: FlowDocument, *, dry_run: bool = False) -> StoreFlowResponse:
        """Check a flow and store it. With `dry_run` or a fatal diagnostic it is not stored.

        Fatal diagnostics raise nothing: look at `stored` and `diagnostics`.
        """
        return send(self._http, _api.store_flow(flow, dry_run))

    def run(
        self,
        *,
        flow_id: str | None = None,
        flow: FlowDocument | None = None,
        input: JsonValue = None,
        inputs: Sequence[JsonValue] | None = None,
        variables: Mapping[str, JsonValue] | None = None,
        max_concurrency: int | None = None,
        wait: bool = False,
        timeout_secs: int | None = None,
    ) -> Run:
        """Start a run of a stored flow (`flow_id`) or of a `flow` that is sent in the request.

        input: the input of a run with one item; by default null.
        inputs: instead of `input`, one input for each item.
        variables: values of the flow's variables.
        max_concurrency: how many steps of the run may be open at once; by default the server decides.
        wait: return when the run has ended, or `timeout_secs` are over; otherwise at once.
        timeout_secs: how long to wait, in seconds; by default the server decides.

        A flow that fails raises nothing: look at `status` and `result`.
        Raises `TypeError` unless exactly one of `flow_id` and `flow` is given, and when both `input`
        and `inputs` are given.
        """
        return send(
            self._http,
            _api.create_run(
                flow_id, flow, input, inputs, variables, max_concurrency, wait, timeout_secs
            ),
        )

    def get_run(
        self, run_id: UUID | str, *, wait: bool = False, timeout_secs: int | None = None
    ) -> Run:
        """Return the state of a run; with `wait`, when it has ended or `timeout_secs` are over."""
        return send(self._http, _api.get_run(run_id, wait, timeout_secs))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncStepflowClient:
    """`StepflowClient` for `async` code: the same arguments, methods and errors."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=_base_url(url), headers=_headers(token), timeout=timeout, transport=transport
        )

    async def health(self) -> HealthResponse:
        """See `StepflowClient.health`."""
        return await send_async(self._http, _api.health())

    async def store_flow(self, flow: FlowDocument, *, dry_run: bool = False) -> StoreFlowResponse:
        """See `StepflowClient.store_flow`."""
        return await send_async(self._http, _api.store_flow(flow, dry_run))

    async def run(
        self,
        *,
        flow_id: str | None = None,
        flow: FlowDocument | None = None,
        input: JsonValue = None,
        inputs: Sequence[JsonValue] | None = None,
        variables: Mapping[str, JsonValue] | None = None,
        max_concurrency: int | None = None,
        wait: bool = False,
        timeout_secs: int | None = None,
    ) -> Run:
        """See `StepflowClient.run`."""
        return await send_async(
            self._http,
            _api.create_run(
                flow_id, flow, input, inputs, variables, max_concurrency, wait, timeout_secs
            ),
        )

    async def get_run(
        self, run_id: UUID | str, *, wait: bool = False, timeout_secs: int | None = None
    ) -> Run:
        """See `StepflowClient.get_run`."""
        return await send_async(self._http, _api.get_run(run_id, wait, timeout_secs))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
