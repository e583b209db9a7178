"""The command line: `stepflow-worker TARGET`, also installed as `stepflow_worker` and `stepflow_py`."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from stepflow.worker._builtins import NAMES
from stepflow.worker._command.imports import server_in
from stepflow.worker._components.bounds import (
    checked_concurrency,
    checked_seconds,
)
from stepflow.worker._executing.end import CLEANUP
from stepflow.worker._executing.failures import print_user_traceback
from stepflow.worker._executing.new_loop import new_loop
from stepflow.worker._executing.timers import Timers
from stepflow.worker._server import StepflowServer
from stepflow.worker._stdio.serving import serve_stdio
from stepflow.worker._stdio.streams import ProtocolStreams, take_standard_streams
from stepflow.worker.errors import (
    CannotServe,
    InvalidLifespan,
    NoServerInTarget,
    OpenToOthers,
    RegistrationError,
    ServedDuringImport,
)

T = TypeVar("T")

log = logging.getLogger("stepflow.worker")

FAILED = 1
USAGE = 2
INTERRUPTED = 130

NOTHING_TO_SERVE = """\
there is nothing to serve: no TARGET, and neither `/udf` nor `/langchain/invoke` is installed
hint: name the file with your `StepflowServer`: `stepflow-worker components.py`"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.reload and options.target is None:
        return _fail("`--reload` needs a TARGET: there is no file to watch", USAGE)
    try:
        # Before any user code runs: it may print, read or start processes.
        streams = take_standard_streams()
    except OSError as error:
        return _fail(f"stdin and stdout must be open, they carry the protocol: {error}", USAGE)
    if options.reload:
        sys.dont_write_bytecode = (
            True  # cached files miss a change within a second that keeps the size
        )
    server = _load(options.target, options.builtins)
    if isinstance(server, int):
        return server
    if options.reload:
        from stepflow.worker._command.reload import ReloadingServer

        server = ReloadingServer(options.target, server, options.builtins)
    if options.list:
        return _list(server, streams, options.format)
    return _serve(server, streams, options)


def _load(target: str | None, builtins: Sequence[str]) -> StepflowServer | int:
    if target is None and not builtins:
        server = StepflowServer(include_builtins=True)
        return server if server.served().components else _fail(NOTHING_TO_SERVE, USAGE)
    loaded = StepflowServer() if target is None else _imported(target)
    if isinstance(loaded, StepflowServer):
        try:
            loaded.add_builtins(builtins)
        except RegistrationError as error:
            return _fail(str(error), USAGE)
    return loaded


def _imported(target: str) -> StepflowServer | int:
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


def _list(server: StepflowServer, streams: ProtocolStreams, form: str) -> int:
    from stepflow.worker._command.listing import as_json, as_table

    components = [each.info() for each in server.served().components.values()]
    text = as_json(components) if form == "json" else as_table(components)
    with os.fdopen(streams.output, "w", encoding="utf-8") as stdout:
        print(text, file=stdout)
    return 0


def _serve(server: StepflowServer, streams: ProtocolStreams, options: argparse.Namespace) -> int:
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            if _run(runner, _serving(server, streams, options)):
                # Components that did not end in time would delay the interpreter's exit too.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
            # asyncio and the interpreter wait for threads without a limit.
            Timers().after(CLEANUP, _exit_despite_threads)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (CannotServe, InvalidLifespan) as error:
        return _fail(str(error), USAGE if isinstance(error, OpenToOthers) else FAILED)
    except Exception as error:  # noqa: BLE001, the lifespan is user code
        print_user_traceback(error)
        return _fail("stopped by the error above", FAILED)
    return 0


def _exit_despite_threads() -> None:
    os.write(2, b"stepflow-worker: ended with threads that components have left behind\n")
    os._exit(0)


def _run(runner: asyncio.Runner, serving: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also when a component's task calls `sys.exit()` or stops the loop."""
    loop = runner.get_loop()
    task = loop.create_task(serving)
    run: Callable[[], T] = partial(runner.run, _result_of(task))
    while True:
        try:
            return run()
        except SystemExit:
            if task.done():
                raise
            # asyncio stops the loop for it, and then no other component would be answered. The code that awaits the
            # task gets the exception too.
            log.warning("a task raised SystemExit: the components go on")
        except RuntimeError:
            if task.done():
                raise
            log.warning("something has stopped the event loop: the components go on")
        finally:
            if task.done():
                loop.set_task_factory(
                    None
                )  # a component may have set one; the loop needs tasks to end
        run = partial(loop.run_until_complete, task)


async def _result_of(task: "asyncio.Task[T]") -> T:
    return await task


async def _serving(
    server: StepflowServer, streams: ProtocolStreams, options: argparse.Namespace
) -> list[str]:
    concurrency, drain = options.max_concurrency, options.drain_timeout
    of_http = (options.host, options.port, options.token)
    if not (options.http or options.insecure or any(given is not None for given in of_http)):
        return await serve_stdio(server, streams, max_concurrency=concurrency, drain_timeout=drain)
    from stepflow.worker import _http  # not needed for stdio, and slow to load

    return await _http.serve(
        server,
        streams,
        host=options.host,
        port=options.port,
        token=options.token,
        insecure=options.insecure,
        max_concurrency=concurrency,
        drain_timeout=drain,
    )


def _fail(message: str, code: int) -> int:
    print(f"stepflow-worker: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepflow-worker",
        description="Serve Python functions as components of Stepflow flows, over stdin and stdout "
        "or, with `--http`, over HTTP.",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="a file such as components.py, or a module; its `server` or its only StepflowServer is "
        "served, or the one named in TARGET:name (default: all installed built-in components)",
    )
    parser.add_argument(
        "--max-concurrency",
        type=_concurrency,
        metavar="N",
        help="how many executes run at once (default: CPUs + 4, at most 32; 256 when all components "
        "are async)",
    )
    parser.add_argument(
        "--drain-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="how long open executes may go on when the worker ends (default: 5 after the end of the "
        "input, 30 after SIGTERM)",
    )
    parser.add_argument(
        "--reload", action="store_true", help="serve the new code after each save of a file"
    )
    parser.add_argument("--list", action="store_true", help="print the components, and exit")
    parser.add_argument(
        "--format",
        choices=["table", "json"],
        default="table",
        help="the format of `--list` (default: table)",
    )
    _add_builtins(
        parser.add_argument_group("built-in components, which run code that comes with a flow")
    )
    _add_http(parser.add_argument_group("HTTP, which needs `stepflow-worker[http]`"))
    return parser


def _add_builtins(group: argparse._ArgumentGroup) -> None:
    for name in NAMES:
        group.add_argument(
            f"--{name}",
            dest="builtins",
            action="append_const",
            const=name,
            default=[],
            help=f"serve this component as well; needs `stepflow-worker[{name}]`",
        )


def _add_http(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--http", action="store_true", help="serve over HTTP; each of the options below does so too"
    )
    group.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    group.add_argument(
        "--port",
        type=int,
        help="the port to listen on, 0 for a free one (default: STEPFLOW_WORKER_PORT, or 8080)",
    )
    group.add_argument(
        "--token", help="the bearer token of all requests (default: STEPFLOW_WORKER_TOKEN)"
    )
    group.add_argument(
        "--insecure", action="store_true", help="allow requests of other machines without a token"
    )


def _concurrency(text: str) -> int:
    return _read(text, int, "a whole number", checked_concurrency)


def _seconds(text: str) -> float:
    return _read(text, float, "a number of seconds", checked_seconds)


def _read(text: str, kind: Callable[[str], T], named: str, checked: Callable[[T], T]) -> T:
    try:
        number = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text:.40}` is not {named}") from None
    try:
        return checked(number)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
