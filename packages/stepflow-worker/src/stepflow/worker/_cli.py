"""The command line: `stepflow-worker TARGET`, also installed as `stepflow_worker` and `stepflow_py`."""

import argparse
import asyncio
import math
import os
import sys
from collections.abc import Sequence

from stepflow.worker._failures import print_user_traceback
from stepflow.worker._imports import server_in
from stepflow.worker._server import StepflowServer
from stepflow.worker._stdio import serve_stdio
from stepflow.worker._streams import ProtocolStreams, take_standard_streams
from stepflow.worker.errors import (
    NoServerInTarget,
    NotBuiltYet,
    RegistrationError,
    ServedDuringImport,
)

FAILED = 1
USAGE = 2
NOT_BUILT_YET = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.http or options.host is not None or options.port is not None:
        return _fail(
            str(NotBuiltYet("serving over HTTP (`--http`, `--host`, `--port`)")), NOT_BUILT_YET
        )
    if options.target is None:
        return _fail(
            "there is nothing to serve: no TARGET, and no built-in components yet\n"
            "hint: name the file with your `StepflowServer`: `stepflow-worker components.py`",
            USAGE,
        )
    try:
        # Before anything of the user's runs: it may print, read or start processes.
        streams = take_standard_streams()
    except OSError as error:
        return _fail(f"stdin and stdout must be open, they carry the protocol: {error}", USAGE)
    server = _load(options.target)
    return server if isinstance(server, int) else _serve(server, streams, options)


def _load(target: str) -> StepflowServer | int:
    try:
        return server_in(target)
    except (NoServerInTarget, ServedDuringImport) as error:
        return _fail(str(error), USAGE)
    except RegistrationError as error:
        print_user_traceback(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Exception, SystemExit) as error:  # noqa: BLE001, it is user code
        print_user_traceback(error)
        return _fail(f"`{target}` could not be imported", FAILED)


def _serve(server: StepflowServer, streams: ProtocolStreams, options: argparse.Namespace) -> int:
    async def serving() -> list[str]:
        async with server.started() as served:
            return await serve_stdio(
                served,
                streams,
                max_concurrency=options.max_concurrency,
                drain_timeout=options.drain_timeout,
            )

    try:
        with asyncio.Runner() as runner:
            if runner.run(serving()):
                # What did not end in time would also hold up the interpreter's own end.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001, the lifespan is user code
        print_user_traceback(error)
        return _fail("stopped by the error above", FAILED)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"stepflow-worker: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepflow-worker",
        description="Serve Python functions as components of Stepflow flows, over stdin and stdout.",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="components.py or a module; its `server`, its only StepflowServer, or TARGET:name",
    )
    parser.add_argument(
        "--max-concurrency",
        type=_positive,
        metavar="N",
        help="executes at once (default: CPUs + 4, at most 32; 256 when all components are async)",
    )
    parser.add_argument(
        "--drain-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="how long open executes may go on at the end (default: 5 after EOF, 30 after SIGTERM)",
    )
    http = parser.add_argument_group("HTTP (not built yet)")
    http.add_argument("--http", action="store_true", help="serve over HTTP instead")
    http.add_argument("--host", help="the address to listen on")
    http.add_argument("--port", type=int, help="the port to listen on")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text} is no span of time")
    return number
