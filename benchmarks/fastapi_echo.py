"""The server of the HTTP floor: a plain FastAPI route that returns its input."""

import json
import socket
from typing import Any

import fastapi
import uvicorn

app = fastapi.FastAPI()


@app.post("/")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input."""
    return body


if __name__ == "__main__":
    # The protocol is given explicitly: otherwise asyncio does not send small answers at once.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
