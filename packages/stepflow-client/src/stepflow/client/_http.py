"""The only module that uses HTTP: it sends a `Call`, and returns the answer's model or raises an error."""

import httpx
from pydantic import ValidationError

from stepflow.client._api import Answer, Call
from stepflow.client.errors import ConnectionFailed, UnexpectedAnswer, api_error
from stepflow.client.models import ErrorBody

PREFIX = "/api/v1"


def send(client: httpx.Client, call: Call[Answer]) -> Answer:
    """Send `call` and return the answer."""
    request = _request(client, call)
    try:
        return _answer(call, client.send(request))
    except httpx.TransportError as failure:
        raise _connection_failed(request, failure) from failure


async def send_async(client: httpx.AsyncClient, call: Call[Answer]) -> Answer:
    """Send `call` and return the answer, without blocking the event loop."""
    request = _request(client, call)
    try:
        return _answer(call, await client.send(request))
    except httpx.TransportError as failure:
        raise _connection_failed(request, failure) from failure


def _request(client: httpx.Client | httpx.AsyncClient, call: Call[Answer]) -> httpx.Request:
    timeout = client.timeout
    if call.waits:
        # The server limits the wait; with a shorter limit here the answer would be lost.
        timeout = httpx.Timeout(
            connect=timeout.connect, read=None, write=timeout.write, pool=timeout.pool
        )
    return client.build_request(
        call.method, PREFIX + call.path, json=call.body, params=call.params, timeout=timeout
    )


def _answer(call: Call[Answer], response: httpx.Response) -> Answer:
    model = call.answer if response.is_success else ErrorBody
    try:
        read = model.model_validate_json(response.content)
    except ValidationError as error:
        problem = f"{error.error_count()} problems reading `{model.__name__}`: {error}"
        raise UnexpectedAnswer(str(response.url), response.status_code, problem) from error
    if isinstance(read, ErrorBody):
        raise api_error(read)
    return read


def _connection_failed(request: httpx.Request, failure: httpx.TransportError) -> ConnectionFailed:
    server = str(request.url.copy_with(path="/", query=None))
    return ConnectionFailed(server, str(failure) or type(failure).__name__)
