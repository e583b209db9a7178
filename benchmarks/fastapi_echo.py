"""The other end of the HTTP floor: what it is sent, sent back by a plain FastAPI route."""

import json
import socket
from typing import Any

import fastapi
import uvicorn

app = fastapi.FastAPI()


@app.post("/")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The input."""
    return body


if __name__ == "__main__":
    # With its protocol named, asyncio turns the delay of small writes off.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
